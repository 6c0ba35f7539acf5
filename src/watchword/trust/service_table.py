"""`[services.<client_id>]` and its `[[….allow]]`: the keys that exist, and what they become."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from watchword.tokens.claims import MAX_ACTORS
from watchword.trust.client_keys import one_method, read_key_file, read_key_set
from watchword.trust.model import Rule, Service
from watchword.trust.problems import Place
from watchword.trust.tables import Key, read_table
from watchword.trust.values import (
    attempt,
    choice,
    digests,
    duration,
    key_set_address,
    scope_token,
    set_of,
    text,
    web_address,
    whole,
)

DEFAULT_LIFETIME = 120
MAX_LIFETIME = 300
"""Seconds: no exchanged token lives longer."""

_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:/@-]{0,127}")
_scopes = set_of(scope_token, "scopes")

RULE_KEYS = (
    Key("caller", text, "a client_id", "The service that is let in: the name of its table.", required=True),
    Key(
        "scopes",
        _scopes,
        "an array of scopes",
        "What the caller may get, of the callee's `scopes`.",
        required=True,
    ),
    Key(
        "on_behalf_of",
        choice("person", "service", "any"),
        '"person", "service" or "any"',
        "Whom the token may speak of. `service` and `any` also let the caller in in its own name "
        "(`client_credentials`), unless the rule has `when_subject_has`.",
        required=True,
    ),
    Key(
        "when_subject_has",
        set_of(scope_token, "scopes", empty=False),
        "an array of scopes, at least one",
        "What the subject token must hold, all of it, to derive `scopes`.",
        default_words="strict intersection: of `scopes` only what the subject token holds itself",
    ),
    Key(
        "max_chain",
        whole(1, MAX_ACTORS),
        f"a whole number from 1 to {MAX_ACTORS}",
        "How many actors the new token may have, the current one counted.",
        default=MAX_ACTORS,
        default_words=f"`{MAX_ACTORS}`",
    ),
    Key(
        "lifetime",
        duration(MAX_LIFETIME),
        'a time like "90s" or "2m", at most "5m"',
        "How long the new token lives at most; never past the subject token.",
        default=DEFAULT_LIFETIME,
        default_words='`"2m"`',
    ),
    Key(
        "act_as",
        choice("actor", "subject"),
        '"actor" or "subject"',
        "`subject` is impersonation: the new token does not name the caller in `act`.",
        default="actor",
        default_words='`"actor"`',
    ),
)


def _rules(value: Any, place: Place) -> list[dict[str, Any]]:
    if type(value) is not list:
        raise place.expected(f"an array of tables [[{place.path}]]", value)
    rules = []
    for index, entry in enumerate(value):
        here = place.at(index)
        values = attempt(partial(read_table, keys=RULE_KEYS), entry, here)
        rules.append((values or {}) | {"name": here.path})
    return rules


SERVICE_KEYS = (
    Key(
        "audience",
        text,
        "a text",
        "The `aud` of tokens for this service, and the only value that `audience=` matches.",
        required=True,
    ),
    Key(
        "url",
        web_address,
        "an http or https URL",
        "Where it is: `resource=` matches exactly this, one trailing slash forgiven.",
        default_words="none: it cannot be found by `resource`",
    ),
    Key(
        "scopes",
        _scopes,
        "an array of scopes",
        "Every scope that this service knows; its rules give no other.",
        default=frozenset(),
        default_words="none",
    ),
    Key(
        "claims",
        set_of(text, "names of claims"),
        "an array of names of claims",
        "What its tokens may carry of the subject beyond what every token carries.",
        default=frozenset(),
        default_words="none",
    ),
    Key(
        "jwks",
        read_key_set,
        "a JWK Set",
        "Its public keys; it authenticates with `private_key_jwt`. Every key needs a `kid`.",
        default_words="registered by `watchword clients add`",
    ),
    Key(
        "jwks_file",
        text,
        "the name of a file",
        "The same in a file, its name relative to the document's folder.",
        default_words="registered by `watchword clients add`",
    ),
    Key(
        "jwks_uri",
        key_set_address,
        "an https URL",
        "Where it publishes its public keys; plain http on loopback only.",
        default_words="registered by `watchword clients add`",
    ),
    Key(
        "secret_sha256",
        digests,
        "an array of one or two SHA-256 digests in hex",
        "Of its client secret, or of the old and the new one; it authenticates with `client_secret_basic` or "
        "`client_secret_post`.",
        default_words="registered by `watchword clients add`",
    ),
    Key(
        "allow",
        _rules,
        "an array of tables",
        "Whom it lets in, see below.",
        default=(),
        default_words="nobody",
    ),
)


def read_services(folder: Path | None, value: Any, place: Place) -> dict[str, dict[str, Any]]:
    """Read every `[services.<client_id>]`; the values are checked one by one, not yet against each other."""
    if not isinstance(value, Mapping):
        raise place.expected("tables [services.<client_id>]", value)
    services = {}
    for client_id, raw in value.items():
        here = place.at(client_id)
        if not _CLIENT_ID.fullmatch(client_id):
            here.problem(
                "expected a client_id of 1 to 128 letters, digits and ._~:/@-, a letter or digit first"
            )
        services[client_id] = attempt(partial(_service, folder), raw, here)
    return {client_id: values for client_id, values in services.items() if values is not None}


def _service(folder: Path | None, raw: Any, place: Place) -> dict[str, Any]:
    values = read_table(raw, place, SERVICE_KEYS)
    one_method(raw, place)
    if values["jwks_file"] is not None:
        read = partial(read_key_file, folder=folder)
        values["jwks"] = attempt(read, values["jwks_file"], place.at("jwks_file"))
    return values


def make_service(client_id: str, values: Mapping[str, Any]) -> Service:
    """Return the service that these faultless values describe."""
    return Service(
        client_id=client_id,
        audience=values["audience"],
        url=values["url"],
        scopes=values["scopes"],
        claims=values["claims"],
        jwks=values["jwks"],
        jwks_uri=values["jwks_uri"],
        secret_sha256=values["secret_sha256"] or (),
        allow=tuple(Rule(**rule) for rule in values["allow"]),
    )
