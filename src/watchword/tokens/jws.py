"""The compact form of a JWS: taking it apart and putting it together (RFC 7515 §3.1, §5)."""

from typing import Any, NamedTuple

from watchword.errors import TokenMalformed
from watchword.tokens import base64url, strict_json

MAX_TOKEN_LENGTH = 16_384
MAX_KID_LENGTH = 256  # a thumbprint has 43; what is longer names nothing and would only fill logs and tables

# Members that bring a key or change how the rest is read. None is ever needed, each has been an attack.
_REFUSED_MEMBERS = frozenset({"crit", "b64", "zip", "enc", "epk", "jwk", "jku", "x5c", "x5u"})


class Header(NamedTuple):
    """What a verifier may learn from a JOSE header: three names to look up, nothing to obey."""

    alg: str
    typ: str | None
    """Lower case, without `application/`; `None` when absent."""
    kid: str | None


class Parts(NamedTuple):
    """A compact JWS, taken apart but not yet decoded."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


def split(token: str, max_length: int = MAX_TOKEN_LENGTH) -> Parts:
    """Take a compact JWS apart in bounded time and memory.

    Raises:
        TokenMalformed: not text, too long, not ASCII, or not three segments.
    """
    return Parts(*segments(token, max_length))


def segments(token: str, max_length: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Do the work of `split` and return the members of `Parts` as they are."""
    if type(token) is not str:
        raise TokenMalformed(f"expected the token as text, found {type(token).__name__}")
    if len(token) > max_length:
        raise TokenMalformed(f"expected at most {max_length} characters, found {len(token)}")
    try:
        raw = token.encode("ascii")
    except UnicodeEncodeError:
        raise TokenMalformed("expected three base64url segments, found a character outside ASCII") from None
    if raw.count(b".") != 2:
        raise TokenMalformed("expected three segments: header.payload.signature")
    signing_input, _, signature = raw.rpartition(b".")
    header, _, payload = signing_input.partition(b".")
    return header, payload, signature, signing_input


def parse_header(segment: bytes) -> Header:
    """Read a JOSE header strictly.

    Raises:
        TokenMalformed: not a JSON object with a text `alg`, or it holds a member that must not be obeyed
            (`crit`, `b64`, `zip`, an embedded or referenced key).
    """
    members = strict_json.decode_object(base64url.decode(segment))
    refused = sorted(_REFUSED_MEMBERS & members.keys())
    if refused:
        raise TokenMalformed(f"expected a header without {', '.join(refused)}")
    alg = _text(members, "alg")
    if alg is None:
        raise TokenMalformed("expected a header with alg")
    typ, kid = _text(members, "typ"), _text(members, "kid")
    if kid is not None and len(kid) > MAX_KID_LENGTH:
        raise TokenMalformed(f"expected a kid of at most {MAX_KID_LENGTH} characters, found {len(kid)}")
    return Header(alg, None if typ is None else normal_type(typ), kid)


def _text(members: dict[str, Any], name: str) -> str | None:
    if name not in members:
        return None
    value = members[name]
    if type(value) is not str or not value:
        raise TokenMalformed(f"expected header member {name} to be text")
    return value


def normal_type(typ: str) -> str:
    """Return a media type as `typ` compares it: lower case, `application/` left out (RFC 7515 §4.1.9)."""
    # str.lower maps letters such as the Kelvin sign into ASCII: only ASCII is a media type at all
    return typ.lower().removeprefix("application/") if typ.isascii() else typ


def encode_header(alg: str, kid: str, typ: str) -> bytes:
    """Return the base64url segment of a protected header."""
    return base64url.encode(strict_json.encode({"alg": alg, "kid": kid, "typ": typ}))
