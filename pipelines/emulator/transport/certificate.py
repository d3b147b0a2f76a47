"""The self-signed certificate of `--tls`: created at every start, valid on loopback only.

A client trusts it by its PEM file. The private key is never written where a client could find it.
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
    """What the listener needs (`context`) and what a client needs (`pem`)."""

    context: ssl.SSLContext
    pem: bytes


def make_certificate() -> Certificate:
    """Return a certificate for 127.0.0.1, ::1 and localhost, valid from an hour ago for 30 days."""
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
        # Not an authority: a client that trusts it trusts this listener and nothing signed by it.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # Python 3.13 verifies strictly and needs to know who signed the certificate.
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
    # OpenSSL loads a key from a file only; this one is private and exists for a moment.
    with tempfile.NamedTemporaryFile(prefix="org-emulator-", suffix=".pem") as file:
        file.write(key_and_certificate)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def write_certificate(certificate: Certificate, path: Path | None) -> Path:
    """Write the PEM to `path`, or to a temporary file where it is None, and return where."""
    if path is None:
        with tempfile.NamedTemporaryFile(
            prefix="org-emulator-", suffix=".pem", delete=False
        ) as file:
            file.write(certificate.pem)
        return Path(file.name)
    path.write_bytes(certificate.pem)
    return path
