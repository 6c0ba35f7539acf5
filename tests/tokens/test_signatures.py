"""A signature has one form per algorithm; mathematics next to it is refused."""

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from watchword.errors import SignatureInvalid
from watchword.tokens import base64url

ORDER = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 2**384 - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D,
}
HALF = {"ES256": 32, "ES384": 48}
L25519 = 2**252 + 27742317777372353535851937790883648493


def replaced(token: str, signature: bytes) -> str:
    return token.rpartition(".")[0] + "." + base64url.encode(signature).decode()


def signature_of(token: str) -> bytes:
    return base64url.decode(token.rpartition(".")[2].encode())


@pytest.mark.threat(31)
@pytest.mark.parametrize("alg", ["ES256", "ES384"])
def test_degenerate_ecdsa_numbers_are_refused(forge: Any, alg: str) -> None:
    token, n, half = forge.token(alg), ORDER[alg], HALF[alg]
    signature = signature_of(token)
    r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    top = 2 ** (8 * half) - 1
    for pair in (
        (0, 0), (0, s), (r, 0), (n, n), (n, s), (r, n), (1, 1), (0, 1), (1, 0), (n - 1, n - 1), (top, top),
        (r, top),
        (top, s), (r, (s + n) & top), (n, 0), (0, n),
    ):  # fmt: skip
        hostile = b"".join(number.to_bytes(half, "big") for number in pair)
        forge.refused(replaced(token, hostile), SignatureInvalid)


@pytest.mark.threat(32)
@pytest.mark.parametrize("alg", ["ES256", "ES384"])
def test_an_ecdsa_signature_has_exactly_its_length(forge: Any, alg: str) -> None:
    token, half = forge.token(alg), HALF[alg]
    signature = signature_of(token)
    assert len(signature) == 2 * half
    r, s = signature[:half], signature[half:]
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    for hostile in (
        der,
        b"\x00" * 16 + r + b"\x00" * 16 + s,
        b"\x00" + r + b"\x00" + s,
        signature + b"\x00",
        b"\x00" + signature,
        signature[:-1],
        signature[1:],
        signature[:half],
        signature * 2,
        b"",
        b"\x00",
    ):
        error = forge.refused(replaced(token, hostile), SignatureInvalid)
        assert f"expected a signature of {2 * half} bytes" in str(error)
    forge.refused(replaced(token, s + r), SignatureInvalid)


@pytest.mark.threat(33)
@pytest.mark.parametrize("alg", ["ES256", "ES384"])
def test_the_mirrored_ecdsa_signature_is_the_same_token_to_us(forge: Any, alg: str) -> None:
    # RFC 7518 allows it, so the text of a token identifies nothing: what we keep of it is jti and claims
    token, n, half = forge.token(alg), ORDER[alg], HALF[alg]
    signature = signature_of(token)
    s = int.from_bytes(signature[half:], "big")
    mirrored = replaced(token, signature[:half] + (n - s).to_bytes(half, "big"))
    assert mirrored != token
    first, second = forge.verify(token), forge.verify(mirrored)
    assert first.token_id == second.token_id == "a-token-id"
    assert first.claims == second.claims
    assert not hasattr(first, "text")
    assert not hasattr(first, "token")


def pkcs1(forge: Any, encoded: bytes) -> bytes:
    """Apply the private RSA operation to a block of our own making."""
    numbers = forge.keys["RS256"]._material.private_numbers()
    n = numbers.public_numbers.n
    return pow(int.from_bytes(encoded, "big"), numbers.d, n).to_bytes(256, "big")


DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def block(
    digest_info: bytes,
    *,
    block_type: bytes = b"\x00\x01",
    pad: bytes = b"\xff",
    tail: bytes = b"",
    size: int = 256,
) -> bytes:
    filling = size - len(block_type) - 1 - len(digest_info) - len(tail)
    return block_type + pad * filling + b"\x00" + digest_info + tail


@pytest.mark.threat(34)
def test_our_own_pkcs1_block_is_what_the_library_makes(forge: Any) -> None:
    token = forge.token("RS256")
    digest = hashlib.sha256(token.rpartition(".")[0].encode()).digest()
    assert pkcs1(forge, block(DIGEST_INFO + digest)) == signature_of(token)


@pytest.mark.threat(34)
def test_malformed_pkcs1_blocks_are_refused(forge: Any) -> None:
    token = forge.token("RS256")
    signing_input = token.rpartition(".")[0].encode()
    digest = hashlib.sha256(signing_input).digest()
    info = DIGEST_INFO + digest
    missing_null = bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20" + digest
    ber_length = bytes.fromhex("308131300d060960864801650304020105000420") + digest
    ber_length_inside = bytes.fromhex("303230810d060960864801650304020105000420") + digest
    sha1 = bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(signing_input).digest()
    sha512 = bytes.fromhex("3051300d060960864801650304020305000440") + hashlib.sha512(signing_input).digest()
    n = forge.keys["RS256"].public.material.public_numbers().n
    hostile = {
        "missing NULL": block(missing_null),
        "BER length": block(ber_length),
        "BER length inside": block(ber_length_inside),
        "garbage behind the hash": block(info, tail=b"\x01" * 32),
        "garbage, short padding": b"\x00\x01"
        + b"\xff" * 8
        + b"\x00"
        + info
        + b"\x02" * (256 - 11 - len(info)),
        "block type 0": block(info, block_type=b"\x00\x00", pad=b"\x00"),
        "block type 2": block(info, block_type=b"\x00\x02", pad=b"\x7f"),
        "padding of zeros": block(info, pad=b"\x00"),
        "no separator": b"\x00\x01" + b"\xff" * (254 - len(info)) + info,
        "hash without algorithm": block(digest),
        "SHA-1": block(sha1),
        "SHA-512": block(sha512),
        "wrong hash length": block(DIGEST_INFO + digest[:31]),
    }
    for name, encoded in hostile.items():
        assert len(encoded) == 256, name
        assert int.from_bytes(encoded, "big") < n, name
        forge.refused(replaced(token, pkcs1(forge, encoded)), SignatureInvalid)


def cube_root(number: int) -> int:
    low, high = 0, 1 << number.bit_length() // 3 + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < number else (low, middle)
    return low


@pytest.mark.threat(34)
def test_other_numbers_of_an_rsa_signature_are_refused(forge: Any) -> None:
    token = forge.token("RS256")
    signature = signature_of(token)
    n = forge.keys["RS256"].public.material.public_numbers().n
    s = int.from_bytes(signature, "big")
    beyond = s + n
    digest = hashlib.sha256(token.rpartition(".")[0].encode()).digest()
    cube = b"\x00\x01" + b"\xff" * 8 + b"\x00" + DIGEST_INFO + digest
    root = cube_root(int.from_bytes(cube.ljust(256, b"\x00"), "big"))
    for hostile in (
        b"\x00" + signature,
        signature + b"\x00",
        signature[:-1],
        signature[1:],
        b"",
        (0).to_bytes(256, "big"),
        (1).to_bytes(256, "big"),
        (n - s).to_bytes(256, "big"),
        (n - 1).to_bytes(256, "big"),
        n.to_bytes(256, "big"),
        beyond.to_bytes((beyond.bit_length() + 7) // 8, "big"),
        root.to_bytes(256, "big"),
    ):
        forge.refused(replaced(token, hostile), SignatureInvalid)


@pytest.mark.threat(34)
def test_a_signature_stripped_of_its_leading_zero_is_refused(forge: Any) -> None:
    for attempt in range(4_000):
        token = forge.token("RS256", x=attempt)
        signature = signature_of(token)
        if signature[0] == 0:
            assert forge.verify(token)
            forge.refused(replaced(token, signature.lstrip(b"\x00")), SignatureInvalid)
            return
    raise AssertionError("no signature began with a zero byte")  # chance below 2 to the power of -22


@pytest.mark.threat(34, 35)
@pytest.mark.parametrize("hash_", [hashes.SHA1(), hashes.SHA384(), hashes.SHA512()])
def test_rsa_with_another_hash_is_refused(forge: Any, hash_: Any) -> None:
    material = forge.keys["RS256"]._material
    for alg, scheme in (
        ("RS256", padding.PKCS1v15()),
        ("PS256", padding.PSS(padding.MGF1(hash_), 32 if hash_.digest_size >= 32 else 20)),
    ):
        token = forge.token(alg)
        hostile = material.sign(token.rpartition(".")[0].encode(), scheme, hash_)
        forge.refused(replaced(token, hostile), SignatureInvalid)


@pytest.mark.threat(35)
@pytest.mark.parametrize(
    "scheme",
    [
        padding.PSS(padding.MGF1(hashes.SHA256()), 0),
        padding.PSS(padding.MGF1(hashes.SHA256()), 20),
        padding.PSS(padding.MGF1(hashes.SHA256()), 31),
        padding.PSS(padding.MGF1(hashes.SHA256()), 33),
        padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH),
        padding.PSS(padding.MGF1(hashes.SHA1()), 32),
        padding.PSS(padding.MGF1(hashes.SHA512()), 32),
    ],
    ids=["salt 0", "salt 20", "salt 31", "salt 33", "salt max", "MGF1-SHA1", "MGF1-SHA512"],
)
def test_pss_means_salt_32_and_mgf1_sha256(forge: Any, scheme: padding.PSS) -> None:
    token = forge.token("PS256")
    hostile = forge.keys["PS256"]._material.sign(token.rpartition(".")[0].encode(), scheme, hashes.SHA256())
    forge.refused(replaced(token, hostile), SignatureInvalid)


@pytest.mark.threat(35)
def test_pss_with_another_trailer_is_refused(forge: Any) -> None:
    token = forge.token("PS256")
    numbers = forge.keys["PS256"]._material.private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    encoded = bytearray(pow(int.from_bytes(signature_of(token), "big"), e, n).to_bytes(256, "big"))
    assert encoded[-1] == 0xBC
    for trailer in (0xCC, 0xBD, 0x00):
        encoded[-1] = trailer
        hostile = pow(int.from_bytes(encoded, "big"), numbers.d, n).to_bytes(256, "big")
        forge.refused(replaced(token, hostile), SignatureInvalid)


@pytest.mark.threat(36)
@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_other_forms_of_an_ed25519_signature_are_refused(forge: Any, alg: str) -> None:
    token = forge.token(alg)
    signature = signature_of(token)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    identity = (1).to_bytes(32, "little")
    signing_input = token.rpartition(".")[0].encode()
    for hostile in (
        r + (s + L25519).to_bytes(32, "little"),
        r + (s + 2 * L25519).to_bytes(32, "little"),
        identity + signature[32:],
        identity + (0).to_bytes(32, "little"),
        (0).to_bytes(64, "little"),
        r + b"\xff" * 32,
        b"\xff" * 64,
        signature[:-1],
        signature[:32],
        signature + b"\x00",
        b"",
        signature[32:] + r,
        forge.keys[alg].sign(hashlib.sha512(signing_input).digest()),  # prehashed
    ):
        forge.refused(replaced(token, hostile), SignatureInvalid)


@pytest.mark.threat(31, 34, 36)
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"])
def test_every_bit_of_a_signature_counts(forge: Any, alg: str) -> None:
    token = forge.token(alg)
    signature = signature_of(token)
    for bit in range(0, len(signature) * 8, 41):
        flipped = bytearray(signature)
        flipped[bit // 8] ^= 1 << bit % 8
        forge.refused(replaced(token, bytes(flipped)), SignatureInvalid)


@pytest.mark.threat(8, 9)
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"])
def test_a_signature_is_bound_to_header_and_payload(forge: Any, alg: str) -> None:
    one, two = forge.token(alg), forge.token(alg, sub="local|1")
    mixed = f"{two.rpartition('.')[0]}.{one.rpartition('.')[2]}"
    forge.refused(mixed, SignatureInvalid)
    head, payload, signature = one.split(".")
    other_head = forge.sign(forge.header(alg, x=1), forge.claims(), alg).split(".")[0]
    forge.refused(f"{other_head}.{payload}.{signature}", SignatureInvalid)
    assert head != other_head


@pytest.mark.threat(9)
@pytest.mark.parametrize(
    ("alg", "wrong"), [("ES256", hashes.SHA384()), ("ES384", hashes.SHA256()), ("ES256", hashes.SHA512())]
)
def test_ecdsa_uses_the_hash_of_its_name(forge: Any, alg: str, wrong: Any) -> None:
    token = forge.token(alg)
    material, half = forge.keys[alg]._material, HALF[alg]
    digest = hashes.Hash(wrong)
    digest.update(token.rpartition(".")[0].encode())
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(material.sign(digest.finalize(), ec.ECDSA(Prehashed(wrong))))
    forge.refused(replaced(token, r.to_bytes(half, "big") + s.to_bytes(half, "big")), SignatureInvalid)
