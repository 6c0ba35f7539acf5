"""What a trusted issuer's token says, in our words and within what that issuer may assert."""

import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from watchword.errors import ClaimInvalid
from watchword.grants.base import SubjectClaims
from watchword.tokens.claims import LATEST_DATE
from watchword.tokens.verified import VerifiedToken
from watchword.trust.model import TrustedIssuer

_MAX_IDENTIFIER = 255  # OpenID Connect Core §2 for `sub`
_STORY = re.compile(r"[\x21-\x7E]{1,128}")
_MISSING = object()


class _Borrowed(msgspec.Struct, frozen=True, kw_only=True):
    """The claims that are understood in a foreign token besides `sub` and scopes."""

    txn: str | UnsetType = UNSET
    sid: str | UnsetType = UNSET
    auth_time: int | float | UnsetType = UNSET
    acr: str | UnsetType = UNSET
    amr: list[str] | UnsetType = UNSET
    roles: list[str] | UnsetType = UNSET
    may_act: dict[str, Any] | UnsetType = UNSET


def in_our_words(token: VerifiedToken, trusted: TrustedIssuer) -> SubjectClaims:
    """Return what a verified foreign token says.

    `sub` and `sid` get the alias in front, scopes and roles are cut to the issuer's caps, a foreign `act` is
    never copied: who acted elsewhere is not ours to vouch for.

    Raises:
        ClaimInvalid: a claim that the document demands is missing or different, or one has the wrong type.
    """
    members = token.claims
    _demand_required(members, trusted)
    try:
        borrowed = msgspec.convert(
            {
                name: value
                for name in _Borrowed.__struct_fields__
                if (value := _at(members, trusted.claims.get(name, name))) is not _MISSING
            },
            _Borrowed,
        )
    except msgspec.ValidationError:
        raise ClaimInvalid("expected roles and amr as lists of texts, txn, sid and acr as texts") from None
    auth_time = _known(borrowed.auth_time)
    if auth_time is not None and not 0 <= auth_time <= LATEST_DATE:
        raise ClaimInvalid("auth_time: expected seconds since the epoch")
    sid, roles, amr, txn = (_known(v) for v in (borrowed.sid, borrowed.roles, borrowed.amr, borrowed.txn))
    return SubjectClaims(
        sub=f"{trusted.alias}|{_identifier('sub', token.subject.id)}",
        kind="person" if trusted.asserts == "people" else "service",
        scope=_scope(token, trusted),
        expires=token.expires_at,
        token_id=None if token.token_id is None else f"{trusted.alias}|{token.token_id}",
        story_id=txn if txn is not None and _STORY.fullmatch(txn) else None,
        session_id=None if sid is None else f"{trusted.alias}|{_identifier('sid', sid)}",
        act=None,
        may_act=_known(borrowed.may_act),
        auth_time=None if auth_time is None else math.floor(auth_time),
        acr=_known(borrowed.acr),
        amr=None if amr is None else tuple(amr),
        roles=None if roles is None else tuple(sorted(trusted.roles.intersection(roles))),
        claims={
            name: value
            for name, path in trusted.claims.items()
            if (value := _at(members, path)) is not _MISSING
        },
    )


def _demand_required(members: Mapping[str, Any], trusted: TrustedIssuer) -> None:
    for name, wanted in trusted.require.items():
        found = _at(members, name)
        # the type counts too: in Python 1 == True, and a text "true" proves nothing
        if type(found) is not type(wanted) or found != wanted:
            raise ClaimInvalid(f"{name}: expected the value that is required of issuer {trusted.alias}")


def _scope(token: VerifiedToken, trusted: TrustedIssuer) -> frozenset[str]:
    """Return the token's scopes, cut to the issuer's cap; the default only where it names none at all."""
    held = token.scope if trusted.scope_claim in token.claims else trusted.default_scopes
    return held & trusted.scopes


def _at(members: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; a member with exactly that name comes first (`https://…/roles`)."""
    if path in members:
        return members[path]
    value: Any = members
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return _MISSING
        value = value[step]
    return value


def _identifier(name: str, text: str) -> str:
    if len(text) > _MAX_IDENTIFIER or not text.isprintable():
        raise ClaimInvalid(f"{name}: expected at most {_MAX_IDENTIFIER} printable characters")
    return text


def _known(value: Any) -> Any:
    return None if value is UNSET else value
