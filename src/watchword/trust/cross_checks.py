"""What no single value can get wrong: names that must differ, names that must exist, sets within sets."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from watchword.trust.model import resource_key
from watchword.trust.problems import Place, shown
from watchword.trust.tables import did_you_mean

Tables = Mapping[str, Mapping[str, Any]]


def cross_check(services: Tables, issuers: Tables, root: Place) -> None:
    """Note every mistake between tables; values that could not be read are passed over."""
    all_services, all_issuers = root.at("services"), root.at("issuers")
    _differ(services, "audience", all_services)
    _differ(services, "url", all_services, resource_key)
    _differ(issuers, "issuer", all_issuers)
    for client_id, service in services.items():
        for index, rule in enumerate(service["allow"] or ()):
            owner = all_services.at(client_id)
            here = owner.at("allow").at(index)
            _exists(rule.get("caller"), services, here.at("caller"))
            _within(rule.get("scopes"), service["scopes"], here.at("scopes"), owner.path)
    for alias, issuer in issuers.items():
        here = all_issuers.at(alias)
        for audience, client_id in (issuer["audiences"] or {}).items():
            _exists(client_id, services, here.at("audiences").at(audience))
        _within(issuer["default_scopes"], issuer["scopes"], here.at("default_scopes"), here.path)


def _differ(tables: Tables, key: str, place: Place, same: Callable[[str], str] = str) -> None:
    first: dict[str, str] = {}
    for name, values in tables.items():
        if values[key] is None:
            continue
        owner = first.setdefault(same(values[key]), name)
        if owner != name:
            place.at(name).at(key).problem(
                f"expected one of its own, found the same as {place.at(owner).path}"
            )


def _exists(client_id: str | None, services: Tables, place: Place) -> None:
    if client_id is not None and client_id not in services:
        place.problem(
            f"expected the client_id of a service of this document, found {shown(client_id)}"
            f"{did_you_mean(client_id, list(services))}"
        )


def _within(some: Iterable[str] | None, most: Iterable[str] | None, place: Place, owner: str) -> None:
    if some is None or most is None:
        return
    known = sorted(most)
    for scope in sorted(set(some) - set(known)):
        place.problem(f"expected scopes of {owner}, found {shown(scope)}{did_you_mean(scope, known)}")
