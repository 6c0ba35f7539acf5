"""TLS of the server's own: services with a private CA, certificates that change while it runs."""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from watchword import Watchword
from watchword.errors import KeysUnavailable
from watchword.server.application import Application
from watchword.server.protocol import BoundedProtocol
from watchword.server.serving import GracefulServer
from watchword.server.stop_sign import StopSign
from watchword.server.tls import Pair, ReloadingTLS
from watchword.testing.peers import Peer, Reply

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
GET = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


class CA:
    """A private CA; what it issues stands in `server.pem` and `server.key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file, self.certificate, self.key = (
            folder / "ca.pem",
            folder / "server.pem",
            folder / "server.key",
        )
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a private CA")])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file.write_bytes(self._signed(self._name, self._key, ca=True))
        self.serial = 0
        self.issue()

    def issue(self, *, write: str = "certificate key") -> None:
        """Make a new pair and put it, or a part of it, where the server looks."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._signed(x509.Name([]), key, ca=False)
        self.new = {
            "certificate": certificate,
            "key": key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        }
        for part in write.split():
            self.put(part)

    def put(self, part: str) -> None:
        path = {"certificate": self.certificate, "key": self.key}[part]
        fresh = path.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_bytes(self.new[part])
        fresh.replace(path)

    @property
    def settings(self) -> dict[str, str]:
        return {"TLS_CERT": str(self.certificate), "TLS_KEY": str(self.key)}

    def client(self, **versions: ssl.TLSVersion) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.file)
        for name, version in versions.items():
            setattr(context, name, version)
        return context

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        self.serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), self.serial)
        builder = builder.not_valid_before(NOW - DAY).not_valid_after(NOW + DAY)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]
        unused = "content_commitment key_encipherment data_encipherment key_agreement crl_sign"
        usage = dict.fromkeys((*unused.split(), "encipher_only", "decipher_only"), False)
        for extension, critical in (
            (x509.BasicConstraints(ca=ca, path_length=None), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False),
            (x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, **usage), True),
            (x509.SubjectAlternativeName(names), not ca),
        ):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def ca(tmp_path):
    (tmp_path / "tls").mkdir()
    return CA(tmp_path / "tls")


@contextlib.contextmanager
def connected(served, context):
    plain = socket.create_connection(served.address, timeout=20)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as secure:
        yield secure


def serial_of(connection: ssl.SSLSocket) -> int:
    return int(connection.getpeercert()["serialNumber"], 16)


def presented(served, ca) -> int:
    with connected(served, ca.client()) as connection:
        connection.sendall(GET)
        answer = served.read_reply(connection)
        assert answer.status == 200
        assert served.logged(answer.headers["x-request-id"])["client"] == "127.0.0.1"
        return serial_of(connection)


def warnings_of(served) -> list[str]:
    return [line["event"] for line in served.log() if line["level"] == "warning"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_services_that_trust_the_private_ca_get_tokens_and_keys(start, ca, tmp_path):
    port = free_port()
    issuer = f"https://localhost:{port}"
    served = start(ISSUER=issuer, LISTEN=f"127.0.0.1:{port}", **ca.settings)
    (tmp_path / "secret").write_text(served.secrets["posts"])
    (tmp_path / "secret").chmod(0o600)
    callee = Peer()
    callee.routes["/users"] = lambda headers, _: Reply(200, {"authorization": headers["authorization"]})
    common = {"WATCHWORD_ISSUER": issuer, "WATCHWORD_CA_FILE": str(ca.file)}
    of_posts = {"AUDIENCE": "posts", "CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    with callee.running(), contextlib.ExitStack() as stack:
        environ = common | {f"WATCHWORD_{name}": text for name, text in of_posts.items()}
        posts = Watchword(environ=environ | {"WATCHWORD_URL_USERS": callee.url}, folder=tmp_path)
        stack.callback(posts.close)
        users = Watchword(environ=common | {"WATCHWORD_AUDIENCE": "users"}, folder=tmp_path)
        stack.callback(users.close)
        got = posts.session("users", own_identity=True).get("/users").json()
        token = users.verify(got["authorization"].removeprefix("Bearer "))
        assert (token.client_id, token.audience, token.issuer) == ("posts", ("users",), issuer)
        stranger = Watchword(issuer=issuer, audience="users", environ={}, folder=tmp_path)
        stack.callback(stranger.close)
        with pytest.raises(KeysUnavailable):
            stranger.verify(got["authorization"].removeprefix("Bearer "))


def test_a_new_certificate_is_taken_up_and_no_connection_is_dropped(start, ca):
    served = start(**ca.settings)
    with connected(served, ca.client()) as old:
        first = serial_of(old)
        assert first == ca.serial
        ca.issue()
        assert presented(served, ca) == ca.serial != first
        old.sendall(GET)
        assert served.read_reply(old).status == 200
        assert serial_of(old) == first
    assert warnings_of(served) == []
    assert served.stop() == 0


def test_a_certificate_whose_key_comes_later_waits_for_it(start, ca):
    served = start(**ca.settings)
    first = ca.serial
    ca.issue(write="certificate")
    assert presented(served, ca) == first
    ca.put("key")
    assert presented(served, ca) == ca.serial


def test_a_broken_new_pair_leaves_the_old_one_in_force_and_is_told_once(start, ca):
    served = start(**ca.settings)
    first = ca.serial
    ca.certificate.write_text("no certificate")
    assert [presented(served, ca) for _ in range(3)] == [first] * 3
    (warning,) = warnings_of(served)
    assert warning.startswith(
        "the TLS certificate stays as it was: WATCHWORD_TLS_CERT: expected a certificate"
    )
    ca.certificate.unlink()
    assert presented(served, ca) == first
    ca.issue()
    ca.key.chmod(0o644)
    assert presented(served, ca) == first
    assert "mode 0644" in warnings_of(served)[-1]
    ca.key.chmod(0o600)
    assert presented(served, ca) == ca.serial


def test_nothing_older_than_tls_1_2_is_spoken(start, ca):
    served = start(**ca.settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = ca.client(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), connected(served, old):
        pass
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with connected(served, ca.client(minimum_version=version, maximum_version=version)) as connection:
            assert connection.cipher()[0].startswith(("TLS_", "ECDHE-"))


def test_who_speaks_plain_http_is_not_answered_and_leaves_no_trace(start, ca):
    served = start(**ca.settings)
    with served.connect() as plain:
        plain.sendall(GET)
        with contextlib.suppress(ConnectionError):
            while part := plain.recv(4_096):
                assert not part.startswith(b"HTTP/")
    assert presented(served, ca) == ca.serial
    assert [line for line in served.log() if "trace" in line] == []


def refusal(folder: Path, *arguments: str, **settings: str) -> list[str]:
    environ = {"WATCHWORD_ISSUER": "https://tokens.example", "WATCHWORD_LISTEN": "127.0.0.1:0"}
    environ |= {f"WATCHWORD_{name}": text for name, text in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "watchword", "serve", *arguments],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "PRIVATE" not in done.stderr
    return done.stderr.splitlines()


def test_a_key_that_others_may_read_is_refused(tmp_path, ca):
    ca.key.chmod(0o640)
    (line,) = refusal(tmp_path, **ca.settings)
    assert line.startswith("watchword: WATCHWORD_TLS_KEY: expected only its owner to read")


def test_what_does_not_belong_together_is_refused(tmp_path, ca):
    ca.issue(write="key")
    (line,) = refusal(tmp_path, **ca.settings)
    assert "is not the key of the certificate" in line


def test_a_key_behind_a_passphrase_is_refused_and_nobody_is_asked_for_it(tmp_path, ca):
    key = serialization.load_pem_private_key(ca.key.read_bytes(), None)
    ca.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a passphrase"),
        )
    )
    (line,) = refusal(tmp_path, **ca.settings)
    assert "unencrypted private key" in line


def test_one_half_of_a_pair_is_refused(tmp_path, ca):
    (line,) = refusal(tmp_path, "--tls-cert", str(ca.certificate))
    assert line == "watchword: WATCHWORD_TLS_KEY: expected it beside TLS_CERT, found nothing"
    (line,) = refusal(tmp_path, TLS_KEY=str(ca.key))
    assert line == "watchword: WATCHWORD_TLS_CERT: expected it beside TLS_KEY, found nothing"


def test_a_key_where_its_path_should_be_is_not_shown(tmp_path, ca):
    (line,) = refusal(tmp_path, TLS_CERT=str(ca.certificate), TLS_KEY_FILE=str(ca.key))
    assert line.startswith("watchword: WATCHWORD_TLS_KEY: expected the path of a file, found its content")


class Hasty(BoundedProtocol):
    header_seconds = 0.1


@pytest.mark.threat(189)
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01"])
def test_a_handshake_that_never_ends_does_not_hold_the_connection_open(ca, loop_factory, begun):
    async def visit():
        ready = asyncio.Event()
        server = GracefulServer(
            Application({}, StopSign()),
            on_ready=ready.set,
            tls=ReloadingTLS(Pair(ca.certificate, ca.key)).context,
            protocol=Hasty,
        )
        listener = socket.create_server(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve(sockets=[listener]))
        await ready.wait()

        def silent() -> bytes:
            with socket.create_connection(listener.getsockname(), timeout=20) as connection:
                connection.sendall(begun)
                with contextlib.suppress(ConnectionError):
                    return connection.recv(100)
                return b""

        try:
            return await asyncio.to_thread(silent)
        finally:
            server.should_exit = True
            await running

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(visit()) == b""
