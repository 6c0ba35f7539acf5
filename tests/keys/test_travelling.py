"""Private keys on their way: sealed files, PEM and JWK from elsewhere, and keys that everybody has."""

import base64
import json
import subprocess
import traceback
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from watchword.errors import KeyRejected, SealBroken, SealingKeyUnusable
from watchword.keys.key_material import read_private_key
from watchword.keys.sample_keys import SAMPLE_KEYS
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.keys.travelling import export_keys, import_keys, is_export
from watchword.tokens import base64url
from watchword.tokens.jwk import thumbprint
from watchword.tokens.private_key import PrivateKey

ALGORITHMS = ("ES256", "ES384", "EdDSA", "RS256", "PS256")
VECTORS = Path(__file__).resolve().parents[1] / "vectors"


def encoded(number: int, size: int | None = None) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8 if size is None else size, "big")
    return base64url.encode(raw).decode()


def private_jwk(key: PrivateKey) -> dict[str, Any]:
    material = key._material
    jwk = dict(key.public_jwk())
    if isinstance(material, rsa.RSAPrivateKey):
        numbers = material.private_numbers()
        members = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
        return jwk | {name: encoded(number) for name, number in members.items()}
    if isinstance(material, ec.EllipticCurvePrivateKey):
        size = (material.curve.key_size + 7) // 8
        return jwk | {"d": encoded(material.private_numbers().private_value, size)}
    return jwk | {"d": base64url.encode(material.private_bytes_raw()).decode()}


def refused(content: bytes | dict[str, Any], **names: str) -> str:
    text = json.dumps(content).encode() if isinstance(content, dict) else content
    with pytest.raises(KeyRejected) as error:
        read_private_key(text, **names)
    return str(error.value)


# --- sealed files ---------------------------------------------------------------------------------


def test_what_was_exported_comes_back_whole() -> None:
    keys = [PrivateKey.generate(alg) for alg in ALGORITHMS]
    file, text = export_keys(keys)
    assert is_export(file)
    found = import_keys(file, SealingKey.from_text(text))
    assert [(key.kid, key.alg, key.public) for key in found] == [(k.kid, k.alg, k.public) for k in keys]
    for key in found:
        key.public.check(key.alg)(key.sign(b"works"), b"works")


@pytest.mark.threat(163)
def test_the_file_shows_no_key() -> None:
    key = PrivateKey.generate("EdDSA")
    file, text = export_keys([key])
    secret = key.insecure_private_der()[-32:]
    assert text.encode() not in file
    assert b"PRIVATE" not in file
    for form in (secret, secret.hex().encode(), base64.b64encode(secret), base64url.encode(secret)):
        assert form not in file


def test_the_key_of_another_file_opens_nothing() -> None:
    file, _ = export_keys([PrivateKey.generate()])
    with pytest.raises(SealingKeyUnusable, match="another key"):
        import_keys(file, SealingKey.from_text(new_sealing_key()))


@pytest.mark.threat(150)
def test_a_file_that_was_changed_anywhere_is_refused() -> None:
    keys = [PrivateKey.generate(), PrivateKey.generate()]
    file, text = export_keys(keys)
    key = SealingKey.from_text(text)
    whole = json.loads(file)

    def changed(change: Any) -> bytes:
        copy = json.loads(file)
        change(copy)
        return json.dumps(copy).encode()

    changes = [
        lambda f: f["keys"].pop(),
        lambda f: f["keys"].reverse(),
        lambda f: f["keys"][0].update(alg="ES384"),
        lambda f: f["keys"][0].update(kid="another"),
        lambda f: f["keys"][0].update(record=whole["keys"][1]["record"]),
        lambda f: f.update(stamp=whole["keys"][0]["record"]),
        lambda f: f.update(stamp="!"),
        lambda f: f.update(format=2),
        lambda f: f.update(more=1),
    ]
    for change in changes:
        with pytest.raises((SealBroken, KeyRejected)):
            import_keys(changed(change), key)
    for size in range(0, len(file) - 2, 7):
        with pytest.raises((SealBroken, KeyRejected)):
            import_keys(file[:size], key)
    assert len(import_keys(file, key)) == 2


# --- PEM and JWK ----------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_pem_and_jwk_of_every_algorithm_are_read(alg: str) -> None:
    key = PrivateKey.generate(alg)
    assert read_private_key(key.insecure_private_pem(), alg=alg).public == key.public
    jwk = private_jwk(key)
    found = read_private_key(json.dumps(jwk).encode())
    assert (found.alg, found.kid, found.public) == (alg, key.kid, key.public)
    assert read_private_key(json.dumps(jwk | {"kid": "ours"}).encode()).kid == "ours"
    assert read_private_key(key.insecure_private_pem(), alg=alg, kid="mine").kid == "mine"
    if alg == "RS256":
        two = {name: value for name, value in jwk.items() if name not in {"p", "q"}}
        assert read_private_key(json.dumps(two).encode()).public == key.public


@pytest.mark.parametrize("form", ["TraditionalOpenSSL", "PKCS8"])
def test_older_forms_of_pem_are_read(form: str) -> None:
    key = PrivateKey.generate("RS256")
    pem = key._material.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    )
    assert read_private_key(pem).public.thumbprint() == key.public.thumbprint()


def test_what_is_no_plain_private_key_says_how_to_convert_it(tmp_path: Path) -> None:
    material = PrivateKey.generate()._material
    passphrase = serialization.BestAvailableEncryption(b"secret words")
    for form in (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL):
        pem = material.private_bytes(serialization.Encoding.PEM, form, passphrase)
        assert "openssl pkey -in" in refused(pem)
    (tmp_path / "encrypted.pem").write_bytes(pem)
    command = [
        "openssl",
        "pkey",
        "-in",
        "encrypted.pem",
        "-out",
        "private.pem",
        "-passin",
        "pass:secret words",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=30)
    assert read_private_key((tmp_path / "private.pem").read_bytes()).alg == "ES256"
    openssh = material.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    assert "ssh-keygen" in refused(openssh)
    assert "public key" in refused(PrivateKey.generate().public.pem())
    assert "PEM" in refused(b"")
    assert "JWK" in refused(b"{")
    key = private_jwk(PrivateKey.generate())
    assert "one JWK" in refused({"keys": [key]})
    assert "public, or symmetric" in refused({name: v for name, v in key.items() if name != "d"})
    assert "public, or symmetric" in refused({"kty": "oct", "k": "AAAA"})


@pytest.mark.threat(38)
def test_weak_keys_are_refused_by_name() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    pem = small.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert "1024" in refused(pem)
    jwk = private_jwk(PrivateKey.generate("RS256"))
    assert "exponent 1" in refused(jwk | {"e": "AQ"})
    assert "exponent" in refused(jwk | {"e": encoded(65536)})
    n = small.public_key().public_numbers().n
    assert "1024 bits" in refused(jwk | {"n": encoded(n)})
    for curve in (ec.SECP256K1(), ec.SECP521R1()):
        other = ec.generate_private_key(curve).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        assert curve.name in refused(other)
    assert "P-521" in refused({"kty": "EC", "crv": "P-521", "d": "AA"})


def test_numbers_that_do_not_belong_together_are_refused() -> None:
    for alg in ALGORITHMS:
        one, other = private_jwk(PrivateKey.generate(alg)), private_jwk(PrivateKey.generate(alg))
        refused(one | {"d": other["d"]})
        refused(one | {"d": 5})
        refused(one | {"d": "!!"})
    refused(private_jwk(PrivateKey.generate()) | {"alg": "ES384"})
    refused(private_jwk(PrivateKey.generate()) | {"alg": "none"})
    refused(private_jwk(PrivateKey.generate()) | {"kid": 7})
    refused(private_jwk(PrivateKey.generate("RS256")) | {"oth": []})


@pytest.mark.threat(155)
def test_no_traceback_with_variables_shows_a_key_that_was_refused() -> None:
    key = PrivateKey.generate("EdDSA")
    jwk = private_jwk(key)
    bad = json.dumps(jwk | {"x": private_jwk(PrivateKey.generate("EdDSA"))["x"]}).encode()
    with pytest.raises(KeyRejected) as error:
        read_private_key(bad)
    frames = traceback.TracebackException.from_exception(error.value, capture_locals=True).stack[1:]
    assert jwk["d"] not in "\n".join(str(frame.locals) for frame in frames)


# --- keys that everybody has ----------------------------------------------------------------------


def published_samples() -> dict[str, dict[str, Any]]:
    rfc7515 = json.loads((VECTORS / "rfc7515.json").read_text())
    rfc7520 = json.loads((VECTORS / "rfc7520.json").read_text())
    return {
        "RFC 7515 A.2": rfc7515["A.2"]["key"],
        "RFC 7515 A.3": rfc7515["A.3"]["key"],
        "RFC 7520 3.4": rfc7520["keys"]["3.4"],
        "RFC 8037 A.1": {
            "kty": "OKP",
            "crv": "Ed25519",
            "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        },
        "RFC 7517 A.2": {
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
        },
    }


@pytest.mark.parametrize("name", sorted(published_samples()))
def test_a_sample_key_is_refused_by_the_name_of_its_book(name: str) -> None:
    assert f"of {name}: everybody has it" in refused(published_samples()[name])


@pytest.mark.parametrize(
    ("der", "name"),
    [
        (
            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz"
            "+jn65BtOMvdyHKcvjBeBSDZH2r1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G",
            "ES256 sample key of jwt.io",
        ),
        ("MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC", "RFC 8410"),
    ],
)
def test_the_keys_of_a_well_known_site_are_refused(der: str, name: str) -> None:
    pem = f"-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n".encode()
    assert name in refused(pem)


def test_the_table_names_thumbprints() -> None:
    public = (
        "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gunVTLw7onLRnrq0"
        "/IzW7yWR7QkrmBL7jTKEn5u+qKhbwKfBstIs+bMY2Zkp18gnTxKLxoS2tFczGkPLPgizskuemMghRniWaoLcyehkd3qqGElvW/VDL5AaWT"
        "g0nLVkjRo9z+40RQzuVaE8AkAFmxZzow3x+VJYKdjykkJ0iT9wCS0DRTXu269V264Vf/3jvredZiKRkgwlL9xNAwxXFg0x/XFw005UWVRI"
        "kdgcKWTjpBP2dPwVZ4WWC+9aGVd+Gyn1o0CLelf4rEjGoXbAAEgAqeGUxrcIlbjXfbcmwIDAQAB"
    )
    key = serialization.load_der_public_key(base64.b64decode(public))
    assert SAMPLE_KEYS[thumbprint(key)] == "the RSA sample key of jwt.io"  # type: ignore[arg-type]
    assert all(len(base64url.decode(print_.encode())) == 32 for print_ in SAMPLE_KEYS)


def test_a_key_of_ones_own_is_no_sample() -> None:
    for alg in ALGORITHMS:
        assert PrivateKey.generate(alg).public.thumbprint() not in SAMPLE_KEYS
    assert isinstance(PrivateKey.generate("EdDSA")._material, ed25519.Ed25519PrivateKey)
