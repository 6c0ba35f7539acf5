"""Which service a token is asked for: `audience` (RFC 8693 §2.1) and `resource` (RFC 8707 §2)."""

import msgspec

from watchword.errors import InvalidScope, InvalidTarget
from watchword.grants.parameters import Parameters
from watchword.tokens.claims import ScopeText, parse_scope
from watchword.tokens.jwk_set import printable
from watchword.trust.model import Service, TrustDocument


def target(parameters: Parameters, document: TrustDocument) -> Service:
    """Return the one service that every `audience` and `resource` of the request names.

    Raises:
        InvalidTarget: none is named, one is unknown, or they name several: a token has one audience.
    """
    audiences, resources = parameters.all("audience"), parameters.all("resource")
    named: dict[str, Service] = {}
    for parameter, texts, find in (
        ("audience", audiences, document.by_audience),
        ("resource", resources, document.by_resource),
    ):
        for text in texts:
            service = find(text)
            if service is None:
                raise InvalidTarget(f"no service has the {parameter} {printable(text)}")
            named[service.client_id] = service
    if not named:
        raise InvalidTarget("expected an audience or a resource")
    if len(named) > 1:
        raise InvalidTarget(f"expected one target, found {', '.join(named)}: a token has one audience")
    return next(iter(named.values()))


def requested_scope(parameters: Parameters) -> frozenset[str] | None:
    """Return the scope tokens asked for; `None`: whatever the rules give.

    Raises:
        InvalidScope: not scope tokens separated by single blanks (RFC 6749 §3.3).
    """
    text = parameters.get("scope")
    if text is None:
        return None
    try:
        return parse_scope(msgspec.convert(text, ScopeText))
    except msgspec.ValidationError:
        raise InvalidScope("expected scope tokens separated by single blanks (RFC 6749 §3.3)") from None
