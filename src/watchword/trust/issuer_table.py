"""`[issuers.<alias>]`: the keys that exist, and what they become."""

import re
from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from watchword.tokens.policy import ACCESS_TOKEN_TYPE
from watchword.trust.model import TrustedIssuer
from watchword.trust.problems import Place
from watchword.trust.tables import Key, read_table
from watchword.trust.values import (
    algorithm,
    attempt,
    choice,
    key_set_address,
    required_values,
    scope_token,
    set_of,
    text,
    texts_by_text,
    token_type,
)

_ALIAS = re.compile(r"[a-z0-9-]{1,64}")
_TAKEN = frozenset({"local", "service"})
"""Name spaces of our own in `sub`."""

_OURS = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "act", "cnf"})
"""Claims that are never taken from a foreign token under any name."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


def _claim_map(value: Any, place: Place) -> Mapping[str, str]:
    read = texts_by_text(value, place)
    for name in read:
        if name in _OURS:
            place.at(name).problem(
                "this claim is written by the server alone and never taken from a foreign token"
            )
        elif name == "scope":
            place.at(name).problem("expected scope_claim to say where scopes stand")
    return read


ISSUER_KEYS = (
    Key("issuer", text, "a text", "The exact `iss` of its tokens, a trailing slash counts.", required=True),
    Key(
        "jwks_uri",
        key_set_address,
        "an https URL",
        "Where its keys are, and nowhere else; plain http on loopback only.",
        required=True,
    ),
    Key(
        "asserts",
        choice("people", "services"),
        '"people" or "services"',
        "Whom its tokens speak of; their `sub` gets the alias in front.",
        required=True,
    ),
    Key(
        "algorithms",
        set_of(algorithm, "names of algorithms", empty=False),
        "an array of names of algorithms",
        "What it signs with: RS256, PS256, ES256, ES384, EdDSA, Ed25519.",
        required=True,
    ),
    Key(
        "token_types",
        set_of(token_type, "token types", empty=False),
        "an array of texts, at least one",
        "Accepted `typ`, compared without case and `application/`. An absent `typ` matches only `JWT`.",
        default=frozenset({ACCESS_TOKEN_TYPE}),
        default_words='`["at+jwt"]`',
    ),
    Key(
        "subject_token_types",
        set_of(choice("access_token", "jwt", "id_token"), "subject token types", empty=False),
        'an array of "access_token", "jwt", "id_token"',
        "Which RFC 8693 types its tokens may be exchanged as.",
        default=frozenset({"access_token", "jwt"}),
        default_words='`["access_token", "jwt"]`',
    ),
    Key(
        "scopes",
        set_of(scope_token, "scopes"),
        "an array of scopes",
        "The most that its tokens may bring.",
        default=frozenset(),
        default_words="none pass",
    ),
    Key(
        "default_scopes",
        set_of(scope_token, "scopes"),
        "an array of scopes, all of them in `scopes`",
        "What a token without the scope claim brings.",
        default=frozenset(),
        default_words="none",
    ),
    Key(
        "scope_claim",
        text,
        "the name of a claim",
        "Where its tokens have their scopes.",
        default="scope",
        default_words='`"scope"`',
    ),
    Key(
        "roles",
        set_of(text, "roles"),
        "an array of texts",
        "The most roles that its tokens may bring.",
        default=frozenset(),
        default_words="none pass",
    ),
    Key(
        "audiences",
        texts_by_text,
        "a table of foreign `aud` = client_id",
        "Which service may exchange a token with this foreign `aud`.",
        default=_NOTHING,
        default_words="`aud` must be the audience of the service that exchanges",
    ),
    Key(
        "claims",
        _claim_map,
        "a table of our claim = dotted path",
        "Where its tokens have what we call by the key.",
        default=_NOTHING,
        default_words="`roles`, `txn`, `sid`, `may_act` and the sign-in's under their own names, no other",
    ),
    Key(
        "require",
        required_values,
        "a table of claim = value",
        "Claims that must be there with exactly this text, whole number or boolean.",
        default=_NOTHING,
        default_words="nothing",
    ),
)


def read_issuers(value: Any, place: Place) -> dict[str, dict[str, Any]]:
    """Read every `[issuers.<alias>]`; the values are checked one by one, not yet against each other."""
    if not isinstance(value, Mapping):
        raise place.expected("tables [issuers.<alias>]", value)
    issuers = {}
    for alias, raw in value.items():
        here = place.at(alias)
        if alias in _TAKEN:
            here.problem(f"the name space {alias} is our own: expected another alias")
        elif not _ALIAS.fullmatch(alias):
            here.problem("expected an alias of 1 to 64 lower-case letters, digits and hyphens")
        issuers[alias] = attempt(partial(read_table, keys=ISSUER_KEYS), raw, here)
    return {alias: values for alias, values in issuers.items() if values is not None}


def make_issuer(alias: str, values: Mapping[str, Any]) -> TrustedIssuer:
    """Return the trusted issuer that these faultless values describe."""
    return TrustedIssuer(alias=alias, **values)
