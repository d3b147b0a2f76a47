"""The certificate of `--tls`: made anew at every start, for loopback, signed by itself.

A client trusts it by being given its PEM; the private key is never anywhere a client could look.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")
DAYS = 30


@dataclass(frozen=True)
class Certificate:
    """What a listener needs (`context`) and what a client needs (`pem`)."""

    context: ssl.SSLContext
    pem: bytes


def make_certificate() -> Certificate:
    """A certificate for 127.0.0.1, ::1 and localhost, good for a month from an hour ago."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = _signed(key).public_bytes(serialization.Encoding.PEM)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Certificate(_context(key_pem + pem), pem)


def _signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "org emulator on loopback")])
    names: list[x509.GeneralName] = [x509.DNSName(name_) for name_ in NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(name_)) for name_ in ADDRESSES]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        # No authority: whoever trusts it trusts this one listener, and nothing it could sign.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # Python 3.13 verifies strictly, and then asks a certificate who signed it.
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
    )
    return builder.sign(key, hashes.SHA256())


def _context(key_and_certificate: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL takes a key from a file only: one that nobody else can read, for a moment.
    with tempfile.NamedTemporaryFile(prefix="org-emulator-", suffix=".pem") as file:
        file.write(key_and_certificate)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def write_certificate(certificate: Certificate, path: Path | None) -> Path:
    """Put the PEM where a client can be pointed at it; without a path, under a temporary name."""
    if path is None:
        with tempfile.NamedTemporaryFile(
            prefix="org-emulator-", suffix=".pem", delete=False
        ) as file:
            file.write(certificate.pem)
        return Path(file.name)
    path.write_bytes(certificate.pem)
    return path
