"""The claims of an access token, typed (RFC 7519 §4, RFC 9068 §2.2, RFC 8693 §4, RFC 8417 `txn`)."""

import re
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from watchword.errors import ClaimInvalid
from watchword.tokens import strict_json

# RFC 6749 §3.3: scope = scope-token *( SP scope-token ); visible ASCII without quote and backslash
ScopeText = Annotated[str, Meta(pattern=r"\A(?:[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*)?\Z")]
ScopeToken = Annotated[str, Meta(pattern=r"\A[\x21\x23-\x5B\x5D-\x7E]+\Z")]
Text = Annotated[str, Meta(min_length=1)]

MAX_ACTORS = 8
LATEST_DATE = 253_402_300_799  # end of year 9999; a date in milliseconds lies far beyond it


class Actor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who acts: the current actor, and below it those who acted before (RFC 8693 §4.1)."""

    sub: Text
    iss: str | UnsetType = UNSET
    act: "Actor | UnsetType" = UNSET

    def chain(self) -> tuple[str, ...]:
        """Return the subjects of all actors, outermost (current) first."""
        names = []
        actor: Actor | UnsetType = self
        while isinstance(actor, Actor):
            names.append(actor.sub)
            actor = actor.act
        return tuple(names)


class AccessTokenClaims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an access token says. Times are NumericDates in seconds (RFC 7519 §2).

    Only what every JWT must say is demanded by the type; what else must be there is the policy's matter,
    since tokens of foreign issuers say less than ours.
    """

    iss: Text
    sub: Text
    aud: Text | list[Text]
    exp: int | float
    iat: int | float | UnsetType = UNSET
    nbf: int | float | UnsetType = UNSET
    jti: Text | UnsetType = UNSET
    client_id: Text | UnsetType = UNSET
    scope: ScopeText | UnsetType = UNSET
    txn: Text | UnsetType = UNSET
    sid: Text | UnsetType = UNSET
    auth_time: int | float | UnsetType = UNSET
    acr: str | UnsetType = UNSET
    amr: list[str] | UnsetType = UNSET
    roles: list[str] | UnsetType = UNSET
    act: Actor | UnsetType = UNSET
    may_act: dict[str, Any] | UnsetType = UNSET
    cnf: dict[str, Any] | UnsetType = UNSET


def typed(members: dict[str, Any]) -> AccessTokenClaims:
    """Return the claims of a decoded payload, typed.

    Raises:
        ClaimInvalid: a claim is missing or has the wrong type; the claim is named, its value is not.
    """
    try:
        return msgspec.convert(members, AccessTokenClaims)
    except msgspec.ValidationError as error:
        raise ClaimInvalid(f"a claim is not as RFC 9068 §2.2 wants it: {_plain(str(error))}") from None


_decode = msgspec.json.Decoder(AccessTokenClaims).decode
_MAX_COMPACT = 4_096  # what is longer has its depth counted before anything is parsed


def from_compact(text: bytes) -> AccessTokenClaims | None:
    """Return the claims of a payload as this project writes it; `None` where it needs a longer look.

    The claims are encoded again: the very same bytes prove that no member came twice, that there is none
    which the type does not know, and that everything is of its type.
    """
    if len(text) > _MAX_COMPACT:
        return None
    try:
        claims = _decode(text)
        if claims.may_act is not UNSET or claims.cnf is not UNSET:
            return None  # free JSON: its depth has to be counted
        return claims if strict_json.encode(claims) == text else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError):
        return None


_CONTROL = re.compile(r"[\x00-\x1f]")


def demand_printable(claims: AccessTokenClaims) -> None:
    """Refuse control characters where a claim names somebody: they would break a log, a header, a database.

    Raises:
        ClaimInvalid: the claim is named, its value is not.
    """
    actors = () if claims.act is UNSET else claims.act.chain()
    named = {
        "sub": claims.sub,
        "aud": claims.aud,
        "jti": claims.jti,
        "client_id": claims.client_id,
        "txn": claims.txn,
        "sid": claims.sid,
        "roles": claims.roles,
        "act": actors,
    }
    for claim, value in named.items():
        texts = (value,) if isinstance(value, str) else () if value is UNSET else value
        if any(_CONTROL.search(text) for text in texts):
            raise ClaimInvalid(f"{claim}: expected text without control characters")


def _plain(message: str) -> str:
    """Make msgspec's message ours; it holds names of claims and types, never a value of the token."""
    expected, _, place = message.partition(" - at `$.")
    return f"{place.rstrip('`')}: {expected.lower()}" if place else expected.lower()


@lru_cache(maxsize=1_024)  # a service meets few
def parse_scope(text: str) -> frozenset[str]:
    """Return the set of scope tokens in `text` (RFC 6749 §3.3)."""
    return frozenset(text.split(" ")) if text else frozenset()


def format_scope(scope: frozenset[str]) -> str:
    """Return the scope parameter for a set of scope tokens, in a stable order."""
    return " ".join(sorted(scope))
