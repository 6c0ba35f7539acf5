"""Certificates are always checked, and nothing older than TLS 1.2 is spoken."""

import datetime
import ipaddress
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from watchword.clock import SYSTEM_CLOCK
from watchword.errors import FetchFailed
from watchword.fetch import Request, Response, Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NOW = datetime.datetime.now(datetime.UTC)

Certify = Callable[..., ssl.SSLContext]


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Certify]:
    """A private CA: the file to trust, and what makes a server's context with a certificate of it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a private CA")])
    ca_key = ec.generate_private_key(ec.SECP256R1())

    def certificate(
        subject: x509.Name, key: Any, *names: x509.GeneralName, days: int, ca: bool
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(key.public_key())
        )
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(NOW - datetime.timedelta(days=30))
        builder = builder.not_valid_after(NOW + datetime.timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        # CPython 3.13 insists on what RFC 5280 demands of certificates
        identifier = x509.SubjectKeyIdentifier.from_public_key
        builder = builder.add_extension(identifier(key.public_key()), critical=False)
        issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
        builder = builder.add_extension(issued_by, critical=False)
        unused = "content_commitment key_encipherment data_encipherment key_agreement crl_sign"
        usage = dict.fromkeys((*unused.split(), "encipher_only", "decipher_only"), False)
        builder = builder.add_extension(
            x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, **usage), critical=True
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        return builder.sign(ca_key, hashes.SHA256())

    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(certificate(name, ca_key, days=30, ca=True).public_bytes(serialization.Encoding.PEM))

    def certify(*, host: str = "127.0.0.1", days: int = 30) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = certificate(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")]),
            key,
            x509.IPAddress(ipaddress.ip_address(host)),
            days=days,
            ca=False,
        )
        pem = tmp_path / f"server-{host}-{days}.pem"
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + leaf.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context

    return ca_file, certify


def get(url: str, ca_file: Path | None) -> Response:
    return Transport(ca_file=ca_file).send(Request("GET", url), SYSTEM_CLOCK.monotonic() + 5)


def test_a_private_authority_is_trusted_when_its_file_is_named(wire: Any, says: Any, authority: Any) -> None:
    ca_file, certify = authority
    assert get(wire(says(OK), tls=certify()), ca_file).status == 200


@pytest.mark.threat(76)
def test_a_certificate_of_an_unknown_authority_is_refused(wire: Any, says: Any, authority: Any) -> None:
    with pytest.raises(FetchFailed, match="certificate"):
        get(wire(says(OK), tls=authority[1]()), None)


@pytest.mark.threat(76)
def test_a_certificate_for_another_host_is_refused(wire: Any, says: Any, authority: Any) -> None:
    ca_file, certify = authority
    with pytest.raises(FetchFailed, match="certificate"):
        get(wire(says(OK), tls=certify(host="127.0.0.2")), ca_file)


@pytest.mark.threat(76)
def test_an_expired_certificate_is_refused(wire: Any, says: Any, authority: Any) -> None:
    ca_file, certify = authority
    with pytest.raises(FetchFailed, match="expired"):
        get(wire(says(OK), tls=certify(days=-1)), ca_file)


@pytest.mark.threat(76)
def test_tls_older_than_1_2_is_refused(wire: Any, says: Any, authority: Any) -> None:
    ca_file, certify = authority
    context = certify()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(FetchFailed):
        get(wire(says(OK), tls=context), ca_file)


def test_a_ca_file_that_is_none_is_a_declared_error(
    wire: Any, says: Any, authority: Any, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(FetchFailed):
        get(wire(says(OK), tls=authority[1]()), tmp_path / "empty.pem")
