"""The outside world on loopback: a proxy that connects every host to one recording TLS server.

Nothing leaves this machine, and what would have left it is seen whole: which hosts were reached,
and what each of them was sent.
"""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.salesforce.servers import Script, ScriptHandler

# One certificate for all of them: a client that reaches the wrong host finds it trustworthy.
NAMES = (
    *("*.my.salesforce.com", "*.salesforce.com", "salesforce.com", "*.force.com"),
    *("evil.example", "*.evil.example", "evilsalesforce.com", "localhost"),
)


class Outside:
    """What a client finds behind the proxy. `script` answers for every host alike."""

    def __init__(self, folder: Path) -> None:
        self.script = Script()
        self.reached: list[str] = []
        self.certificate = folder / "outside.pem"
        self._key_file = folder / "outside-key.pem"
        _write_certificate(self.certificate, self._key_file)

    def environment(self, *, is_trusted: bool = True) -> dict[str, str]:
        """The variables that send a client here."""
        bundle = {"REQUESTS_CA_BUNDLE": str(self.certificate)} if is_trusted else {}
        return {"HTTPS_PROXY": self._proxy_url, "NO_PROXY": "", **bundle}

    def authorized(self) -> set[tuple[str, str]]:
        """(host, Authorization) of every request that carried one."""
        return {
            (seen.headers["Host"], seen.headers["Authorization"])
            for seen in self.script.seen
            if "Authorization" in seen.headers
        }

    @contextmanager
    def running(self) -> Iterator[Outside]:
        handler = type("Handler", (ScriptHandler,), {"script": self.script})
        with _Quiet(("127.0.0.1", 0), handler) as server:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self._key_file)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            place = {"outside": self, "port": server.server_port}
            proxy_handler = type("Handler", (_ProxyHandler,), place)
            with _Quiet(("127.0.0.1", 0), proxy_handler) as proxy:
                self._proxy_url = f"http://127.0.0.1:{proxy.server_port}"
                with _serving(server), _serving(proxy):
                    yield self


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_about: object) -> None:
        """Print nothing: a client that trusts no certificate breaks off, as it should."""


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield
    server.shutdown()
    thread.join()


class _ProxyHandler(BaseHTTPRequestHandler):
    outside: Outside
    port: int

    def do_CONNECT(self) -> None:
        self.outside.reached.append(self.path)
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", self.port)) as there:
            back = threading.Thread(target=_pour, args=(there, self.connection))
            back.start()
            _pour(self.connection, there)
            back.join()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


def _pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _write_certificate(certificate_file: Path, key_file: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outside")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in NAMES]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
