"""What a faultless document hardly means: rules without effect, issuers without use, keys in two hands."""

from collections.abc import Iterable, Iterator

from watchword.errors import DestinationRefused
from watchword.fetch.origin import demand_safe, origin_of
from watchword.tokens.claims import AccessTokenClaims
from watchword.trust.model import Rule, Service, TrustDocument, TrustedIssuer
from watchword.trust.problems import below

_ALWAYS_DECIDED_HERE = frozenset(AccessTokenClaims.__struct_fields__) - {"roles"}


def warnings(document: TrustDocument) -> tuple[str, ...]:
    """Return what a careful reader would ask about, each with its table; nothing here is a mistake."""
    return tuple(
        f"{place}: {text}"
        for found in (_services(document), _rules(document), _issuers(document), _shared(document))
        for place, text in found
    )


def can_authenticate(service: Service) -> bool:
    """Tell whether anything is registered by which this service could prove who it is."""
    return bool(service.jwks_uri or service.secret_sha256 or (service.jwks is not None and len(service.jwks)))


def held_at_most(document: TrustDocument, caller: Service, kind: str) -> frozenset[str]:
    """Return every scope that a subject token can hold when `caller` exchanges it.

    `kind` is `person`, `service` or `any`. Our own tokens for the caller hold scopes of the caller, foreign
    ones at most what their issuer may bring.
    """
    asserted = {"person": ("people",), "service": ("services",)}.get(kind, ("people", "services"))
    foreign = (
        issuer.scopes
        for issuer in document.issuers.values()
        if issuer.asserts in asserted and _may_bring(issuer, caller)
    )
    return caller.scopes.union(*foreign)


def _services(document: TrustDocument) -> Iterator[tuple[str, str]]:
    callers = {rule.caller for service in document.services.values() for rule in service.allow}
    for service in document.services.values():
        place = below("services", service.client_id)
        if service.client_id in callers and not can_authenticate(service):
            remedy = "" if service.jwks is not None else f"; run: watchword clients add {service.client_id}"
            yield (
                place,
                f"it cannot authenticate, no key is registered: no rule with it as caller works yet{remedy}",
            )
        other = document.by_audience(service.client_id)
        if other is not None and other is not service:
            found = below("services", other.client_id)
            yield place, f"its client_id is the audience of another service, {found}"
        if service.url is not None:
            try:
                demand_safe(origin_of(service.url))
            except DestinationRefused:
                wanted = "no token goes there unless INSECURE_HTTP_HOSTS has it"
                yield f"{place}.url", f"plain http off loopback: {wanted}"
        idle = sorted(service.claims & _ALWAYS_DECIDED_HERE)
        if idle:
            yield f"{place}.claims", f"no effect: the server alone decides about {', '.join(idle)}"


def _rules(document: TrustDocument) -> Iterator[tuple[str, str]]:
    for service in document.services.values():
        for rule in service.allow:
            text = _without_effect(document, rule)
            if text is not None:
                yield rule.name, text


def _without_effect(document: TrustDocument, rule: Rule) -> str | None:
    if not rule.scopes:
        return "it can never yield a scope: scopes is empty"
    caller = document.services[rule.caller]
    held = held_at_most(document, caller, rule.on_behalf_of)
    if rule.when_subject_has is not None:
        missing = sorted(rule.when_subject_has - held)
        if missing:
            return f"it can never yield a scope: no token for {rule.caller} can hold {', '.join(missing)}"
        return None
    if rule.on_behalf_of != "person":
        return None  # the caller gets every scope in its own name
    out_of_reach = sorted(rule.scopes - held)
    if not out_of_reach:
        return None
    what = "a scope" if len(out_of_reach) == len(rule.scopes) else ", ".join(out_of_reach)
    return (
        f"it can never yield {what}: without when_subject_has it gives what the subject token holds itself, "
        f"and no token for {rule.caller} can hold {', '.join(out_of_reach)}"
    )


def _issuers(document: TrustDocument) -> Iterator[tuple[str, str]]:
    let_in: dict[str, set[str]] = {}
    for service in document.services.values():
        for rule in service.allow:
            let_in.setdefault(rule.caller, set()).add(rule.on_behalf_of)
    for issuer in document.issuers.values():
        place = below("issuers", issuer.alias)
        if not issuer.scopes:
            yield place, "its tokens bring no scope, so no exchange of one succeeds: scopes is empty"
        kind = "person" if issuer.asserts == "people" else "service"
        if not any(
            can_authenticate(service)
            and _may_bring(issuer, service)
            and let_in.get(service.client_id, set()) & {kind, "any"}
            for service in document.services.values()
        ):
            needed = f"may bring its tokens and is let in somewhere on behalf of a {kind}"
            yield place, f"nobody can use it: no service that can authenticate {needed}"


def _may_bring(issuer: TrustedIssuer, service: Service) -> bool:
    return not issuer.audiences or service.client_id in issuer.audiences.values()


def _shared(document: TrustDocument) -> Iterator[tuple[str, str]]:
    owners: dict[str, str] = {}
    for service in document.services.values():
        for proof in _proofs(service):
            owner = owners.setdefault(proof, service.client_id)
            if owner != service.client_id:
                place = below("services", service.client_id)
                yield (
                    place,
                    f"shares a key or secret with {below('services', owner)}: each can act as the other",
                )
                break


def _proofs(service: Service) -> Iterable[str]:
    if service.jwks is not None:
        yield from (key.thumbprint() for key in service.jwks.keys)
    if service.jwks_uri is not None:
        yield service.jwks_uri
    yield from service.secret_sha256
