"""From plain tables to a trust document, whoever wrote the tables: one path, one set of checks."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from watchword.errors import TokenMalformed, TrustError
from watchword.tokens import strict_json
from watchword.trust.cross_checks import cross_check
from watchword.trust.issuer_table import make_issuer, read_issuers
from watchword.trust.model import TrustDocument
from watchword.trust.problems import Place
from watchword.trust.service_table import make_service, read_services
from watchword.trust.tables import Key, read_table

VERSION = 1


def _version(value: Any, place: Place) -> int:
    if type(value) is int and value == VERSION:
        return VERSION
    raise place.expected(str(VERSION), value)


def root_keys(folder: Path | None) -> tuple[Key, ...]:
    """Return the keys of the document's top; `folder` is where key files are."""
    return (
        Key("version", _version, str(VERSION), "Of this format.", required=True),
        Key(
            "services",
            partial(read_services, folder),
            "tables",
            "One table per service; its name is the `client_id`.",
            default={},
            default_words="none",
        ),
        Key(
            "issuers",
            read_issuers,
            "tables",
            "One table per issuer whose tokens may be exchanged here; its name is the alias.",
            default={},
            default_words="none",
        ),
    )


def checked(raw: Mapping[str, Any], folder: Path | None) -> TrustDocument:
    """Return the document that these tables describe; without a folder they must need no key file.

    Raises:
        TrustError: every mistake, each with its table and key.
    """
    problems: list[str] = []
    root = Place(problems)
    values = read_table(raw, root, root_keys(folder))
    services, issuers = values["services"] or {}, values["issuers"] or {}
    cross_check(services, issuers, root)
    if problems:
        raise TrustError(problems)
    return TrustDocument(
        {client_id: make_service(client_id, table) for client_id, table in services.items()},
        {alias: make_issuer(alias, table) for alias, table in issuers.items()},
    )


def from_json(text: bytes) -> TrustDocument:
    """Return the document that `to_json` wrote; everything is checked again.

    Raises:
        TrustError: not what `to_json` writes.
    """
    try:
        raw = strict_json.decode_object(text)
    except TokenMalformed as error:
        raise TrustError(f"expected a trust document in JSON: {error}") from None
    return checked(raw, None)
