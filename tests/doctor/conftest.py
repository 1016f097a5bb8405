"""Servers with something wrong on the way to them: certificates, proxies, ports."""

import datetime
import ipaddress
import select
import socket
import ssl
import threading
from contextlib import suppress

import pytest


class Relay:
    """Accepts connections on loopback and passes their bytes on, after a greeting of the test's own.

    ``greet(sock)`` returns the connection to read from and the address to connect to, or None to end it.
    """

    def __init__(self, greet):
        self._greet = greet
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.2)
        self.port = self._listener.getsockname()[1]
        self._stopped = threading.Event()
        self._open = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self):
        while not self._stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock):
        with suppress(OSError, ValueError):  # the test may be over, and the socket closed
            sock.settimeout(5)
            if not sock.recv(1, socket.MSG_PEEK):  # somebody only looked whether the port is open
                sock.close()
                return
            greeted = self._greet(sock)
            if greeted is not None:
                near, target = greeted
                self._open.append(near)
                with near, socket.create_connection(target, timeout=5) as far:
                    self._open.append(far)
                    self._pump(near, far)
        with suppress(OSError):
            sock.close()

    def _pump(self, near, far):
        """Pass bytes both ways in one thread, which is all that TLS sockets take."""
        while not self._stopped.is_set():
            waiting = [near] if getattr(near, "pending", int)() else select.select([near, far], [], [], 0.2)[0]
            for source in waiting:
                data = source.recv(65536)
                if not data:
                    return
                (far if source is near else near).sendall(data)

    def stop(self):
        self._stopped.set()
        self._listener.close()
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def relay():
    """A function that starts a relay, which is stopped in the end."""
    running = []

    def start(greet):
        running.append(Relay(greet))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def make_certificate(folder, *, issuer="Nobody Knows Ltd", host="127.0.0.1", days=365, since=-1):
    """A certificate signed by an authority of its own; the paths of (chain and key, authority)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    now = datetime.datetime.now(datetime.UTC)

    def name(organization, common):
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
                x509.NameAttribute(NameOID.COMMON_NAME, common),
            ]
        )

    def build(subject, signer, key, signing_key, extensions, first, last):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=first))
            .not_valid_after(now + datetime.timedelta(days=last))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signing_key, hashes.SHA256())

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = name(issuer, f"{issuer} Root")
    authority = build(
        authority_name,
        authority_name,
        authority_key,
        authority_key,
        [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), False),
            # Python 3.13 checks strictly, by RFC 5280.
            (x509.KeyUsage(True, False, False, False, False, True, True, False, False), True),
        ],
        -400,
        3650,
    )
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        alternative = x509.DNSName(host)
    leaf = build(
        name("Server", host),
        authority_name,
        key,
        authority_key,
        [
            (x509.SubjectAlternativeName([alternative]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), False),
        ],
        since,
        days,
    )
    pem = serialization.Encoding.PEM
    chain, root = folder / "chain.pem", folder / "root.pem"
    chain.write_bytes(
        leaf.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    root.write_bytes(authority.public_bytes(pem))
    return str(chain), str(root)


@pytest.fixture
def tls_front(relay, tmp_path):
    """A function: an https address that leads to a server, with a certificate as described."""

    def start(server, **certificate):
        chain, root = make_certificate(tmp_path, **certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        port = int(server.url.rpartition(":")[2])

        def greet(sock):
            secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            try:
                secured.do_handshake()
            except (OSError, ValueError):
                secured.close()
                return None
            return secured, ("127.0.0.1", port)

        return f"https://127.0.0.1:{relay(greet).port}/v1", root

    return start


@pytest.fixture
def connect_proxy(relay):
    """A function: an HTTP proxy that lets CONNECT through, or refuses with a status."""

    def start(status=200):
        def greet(sock):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = sock.recv(4096)
                if not piece:
                    return None
                head += piece
            host, _, port = head.split(b" ")[1].decode().rpartition(":")
            sock.sendall(b"HTTP/1.1 %d Told\r\nContent-Length: 0\r\n\r\n" % status)
            return (sock, (host, int(port))) if status == 200 else None

        return f"http://127.0.0.1:{relay(greet).port}"

    return start
