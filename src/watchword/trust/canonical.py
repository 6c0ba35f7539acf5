"""One document, one text: the form that is stored, compared and digested."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from watchword.tokens import strict_json
from watchword.trust.model import Rule, Service, TrustDocument, TrustedIssuer


def to_json(document: TrustDocument) -> bytes:
    """Return the document as JSON with sorted members: equal documents have equal bytes.

    It has the tables and keys of the TOML form with every default written out, and needs no other file: keys
    that were read from a file are inside.
    """
    return strict_json.encode(to_tables(document))


def to_tables(document: TrustDocument) -> dict[str, Any]:
    """Return the same as plain tables, lists and texts."""
    tables: dict[str, Any] = _sorted(
        {
            "version": 1,
            "services": {name: _service(service) for name, service in document.services.items()},
            "issuers": {alias: _issuer(issuer) for alias, issuer in document.issuers.items()},
        }
    )
    return tables


def digest(document: TrustDocument) -> str:
    """Return the SHA-256 of `to_json` in hex: what a document says, however it is written."""
    return sha256(to_json(document)).hexdigest()


def _service(service: Service) -> dict[str, Any]:
    return _given(
        audience=service.audience,
        url=service.url,
        scopes=sorted(service.scopes),
        claims=sorted(service.claims),
        jwks=None if service.jwks is None else _key_set(service),
        jwks_uri=service.jwks_uri,
        secret_sha256=list(service.secret_sha256) or None,
        allow=[_rule(rule) for rule in service.allow],
    )


def _key_set(service: Service) -> dict[str, Any]:
    keys = service.jwks.to_dict()["keys"] if service.jwks is not None else []
    return {"keys": sorted(keys, key=lambda key: key.get("kid", ""))}


def _rule(rule: Rule) -> dict[str, Any]:
    return _given(
        caller=rule.caller,
        scopes=sorted(rule.scopes),
        on_behalf_of=rule.on_behalf_of,
        when_subject_has=None if rule.when_subject_has is None else sorted(rule.when_subject_has),
        max_chain=rule.max_chain,
        lifetime=f"{rule.lifetime}s",
        act_as=rule.act_as,
    )


def _issuer(issuer: TrustedIssuer) -> dict[str, Any]:
    return {
        "issuer": issuer.issuer,
        "jwks_uri": issuer.jwks_uri,
        "asserts": issuer.asserts,
        "algorithms": sorted(issuer.algorithms),
        "token_types": sorted(issuer.token_types),
        "subject_token_types": sorted(issuer.subject_token_types),
        "scopes": sorted(issuer.scopes),
        "default_scopes": sorted(issuer.default_scopes),
        "scope_claim": issuer.scope_claim,
        "roles": sorted(issuer.roles),
        "audiences": dict(issuer.audiences),
        "claims": dict(issuer.claims),
        "require": dict(issuer.require),
    }


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted(entry) for entry in value]
    return value
