"""Base64url without padding, exactly one text per value (RFC 7515 §2, RFC 4648 §3.5)."""

from binascii import Error, a2b_base64, b2a_base64

from watchword.errors import TokenMalformed

# "+", "/" and "=" become a byte that is in no alphabet, so that the C decoder refuses them.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/\x00\x00\x00")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_PADDING = (b"", None, b"==", b"=")
# A last character whose unused bits are zero: 4 spare bits after two characters, 2 after three.
_CANONICAL_LAST: tuple[frozenset[int] | None, ...] = (
    None,
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)


def decode(text: bytes) -> bytes:
    """Return the bytes that `text` stands for; an empty text is an empty value.

    Raises:
        TokenMalformed: padding, another alphabet, white space, a stray bit, an impossible length.
    """
    spare = len(text) & 3
    if spare:
        padding = _PADDING[spare]
        if padding is None or text[-1] not in _CANONICAL_LAST[spare]:  # type: ignore[operator]
            raise TokenMalformed("expected canonical base64url without padding")
        standard = text.translate(_TO_STANDARD) + padding
    else:
        standard = text.translate(_TO_STANDARD)
    try:
        return a2b_base64(standard, strict_mode=True)
    except Error:
        raise TokenMalformed("expected base64url without padding (RFC 7515 §2)") from None


def encode(value: bytes) -> bytes:
    """Return the base64url text of `value`, without padding."""
    return b2a_base64(value, newline=False).rstrip(b"=").translate(_TO_URL)
