"""Base64url without padding, exactly one text per value (RFC 7515 §2, RFC 4648 §3.5).

msgspec's decoder and encoder do the work: they are several times as fast as `binascii`.
"""

import msgspec

from watchword.errors import TokenMalformed

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
# Whatever is not in the alphabet, padding and quotes too, becomes a character that the decoder refuses.
_TO_STANDARD = bytes(dict(zip(_ALPHABET, _STANDARD, strict=True)).get(byte, ord("!")) for byte in range(256))
_TO_URL = bytes.maketrans(b"+/", b"-_")
# What ends a text by its length modulo 4. Of those with one character too many the last is never canonical.
_ENDS = (b'"', b'!"', b'=="', b'="')
# A last character whose unused bits are zero: 4 spare bits after two characters, 2 after three.
_CANONICAL_LAST: tuple[frozenset[int], ...] = (
    frozenset(_ALPHABET),
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)

_decode = msgspec.json.Decoder(bytes).decode
_encode = msgspec.json.encode


def decode(text: bytes) -> bytes:
    """Return the bytes that `text` stands for; an empty text is an empty value.

    Raises:
        TokenMalformed: padding, another alphabet, white space, a stray bit, an impossible length.
    """
    spare = len(text) & 3
    if spare and text[-1] not in _CANONICAL_LAST[spare]:
        raise TokenMalformed("expected canonical base64url without padding")
    try:
        return _decode(b'"%b%b' % (text.translate(_TO_STANDARD), _ENDS[spare]))
    except msgspec.MsgspecError:
        raise TokenMalformed("expected base64url without padding (RFC 7515 §2)") from None


def encode(value: bytes) -> bytes:
    """Return the base64url text of `value`, without padding."""
    return _encode(value).strip(b'"=').translate(_TO_URL)
