"""What `watchword doctor --service` looks at: the settings of a service, its issuers, its rights."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from watchword.cli.examine import Finding, skew
from watchword.client.authentication import KeyAuthentication
from watchword.client.endpoint import SubjectToken, Target, TokenEndpoint
from watchword.clock import Clock
from watchword.errors import (
    DestinationRefused,
    ExchangeDenied,
    FetchFailed,
    KeySetInvalid,
    KeysUnavailable,
    TokenEndpointUnreachable,
    TokenError,
    TrustError,
)
from watchword.fetch import Flow, Request, Response, Transport
from watchword.resource.metadata import locations, parse
from watchword.service import IssuerSettings, ServiceSettings, Watchword
from watchword.service.settings import PREFIX, setting_name
from watchword.tokens.jwk_set import JWKSet
from watchword.trust import document as trust_document
from watchword.trust.model import TrustDocument


def used(found: ServiceSettings) -> Iterator[Finding]:
    """Tell which settings are in force, and who may read the credential."""
    names = ", ".join(sorted(found.audience))
    yield Finding("OK", "settings", f"tokens of {found.issuer.issuer} for {names}; client {found.client_id}")
    for name in ("CLIENT_KEY_FILE", "CLIENT_SECRET_FILE"):
        path = os.environ.get(PREFIX + name)
        if path is not None and stat.S_IMODE(Path(path).stat().st_mode) & 0o077:
            yield Finding("WARN", "credential", f"{path} can be read by other users; run: chmod 600 {path}")


def issuers(found: ServiceSettings, transport: Transport, clock: Clock) -> Iterator[Finding]:
    """Ask every trusted issuer for its metadata and its key set, as the service will."""
    for settings in (found.issuer, *found.trusted_issuers.values()):
        yield from _metadata(settings, transport, clock)
        yield from _key_set(settings, transport, clock)


def _metadata(settings: IssuerSettings, transport: Transport, clock: Clock) -> Iterator[Finding]:
    problems = []
    for url in locations(settings.issuer):
        try:
            response = transport.drive(_get(url))
            parse(response, settings.issuer)
        except (FetchFailed, DestinationRefused) as error:
            problems.append(f"{url}: {error}")
        else:
            yield Finding("OK", "issuer", f"{settings.issuer} answers with its own metadata")
            yield from skew(response, clock)
            return
    pinned = settings.jwks_uri is not None
    rest = "; its key set is pinned, so tokens can be verified" if pinned else ""
    yield Finding("WARN" if pinned else "FAIL", "issuer", "; ".join(problems) + rest)


def _key_set(settings: IssuerSettings, transport: Transport, clock: Clock) -> Iterator[Finding]:
    def ask() -> Flow[Response]:
        url = yield from settings.metadata(clock).jwks_uri()
        return (yield Request("GET", url, {"Accept": "application/jwk-set+json, application/json"}))

    try:
        response = transport.drive(ask())
        if response.status != 200:
            raise FetchFailed(f"expected status 200, found {response.status}")
        keys = JWKSet.from_json(response.body)
    except (FetchFailed, DestinationRefused, KeySetInvalid) as error:
        yield Finding("FAIL", "keys", f"the key set of {settings.issuer} cannot be had: {error}")
        return
    for bad in keys.unusable:
        yield Finding(
            "FAIL" if bad.alarm == "private_key" else "WARN",
            "keys",
            f"key {bad.index} of {settings.issuer} cannot be used: {bad.reason}",
        )
    fitting = [key for key in keys.keys if key.algorithms & frozenset(settings.algorithms)]
    if fitting:
        named = ", ".join(sorted(f"{key.kid} ({'/'.join(sorted(key.algorithms))})" for key in fitting))
        yield Finding("OK", "keys", f"{settings.issuer} verifies with {named}")
    else:
        wanted = ", ".join(sorted(settings.algorithms))
        yield Finding("FAIL", "keys", f"none of the {len(keys)} keys of {settings.issuer} fits {wanted}")


def caller_token(token: str) -> tuple[Finding, SubjectToken | None]:
    """Verify a caller's token as the service would; `None` if it is refused."""
    service = Watchword()
    try:
        verified = service.verify(token)
    except (TokenError, KeysUnavailable) as error:
        return Finding("FAIL", "caller", f"its token is refused: {error.code}: {error}"), None
    finally:
        service.close()
    scope = " ".join(sorted(verified.scope)) or "no scope"
    own = verified.issuer == service.settings.issuer.issuer
    return (
        Finding("OK", "caller", f"{verified.subject.id} by {verified.client_id}, with {scope}"),
        SubjectToken(token, "access_token" if own else "jwt", verified.expires_at),
    )


def credential(
    found: ServiceSettings, transport: Transport, clock: Clock, caller: SubjectToken | None
) -> Iterator[Finding]:
    """Prove at the token endpoint who this service is, and ask for a token for each of its callees."""
    if found.client is None:
        if found.urls:
            text = f"none, but it calls {_listed(found.urls)}: set {PREFIX}CLIENT_KEY_FILE"
            yield Finding("FAIL", "credential", text)
        else:
            yield Finding("OK", "credential", "none: this service verifies and calls nobody")
        return
    endpoint = TokenEndpoint(
        found.issuer.issuer,
        found.issuer.metadata(clock).token_endpoint,
        found.client,
        found.issuer.requested_token_type,
    )
    for number, target in enumerate([_target(name) for name in sorted(found.urls)] or [Target("nobody")]):
        asking = (
            endpoint.client_credentials(target, clock.now())
            if caller is None
            else endpoint.exchange(caller, target, clock.now())
        )
        try:
            scope = transport.drive(asking).scope or "no scope"
        except (FetchFailed, DestinationRefused, TokenEndpointUnreachable) as error:
            yield Finding("FAIL", "credential", f"the token endpoint cannot be asked: {error}")
            return
        except ExchangeDenied as denied:
            if denied.reason == "client":
                yield Finding("FAIL", "credential", _unknown(found, denied))
                return
            rule = _denied(target, denied, found.client_id, for_caller=caller is not None)
        else:
            whom = "as itself" if caller is None else "for this caller"
            rule = Finding("OK", "rule", f"{target.callee}: {found.client_id} may call it {whom}: {scope}")
        if number == 0:
            yield _known(found)
        if found.urls:
            yield rule


def _known(found: ServiceSettings) -> Finding:
    return Finding("OK", "credential", f"{found.issuer.issuer} knows {found.client_id} by this proof")


def _unknown(found: ServiceSettings, denied: ExchangeDenied) -> str:
    client = found.client_id
    held = f"the key {found.client.kid}" if isinstance(found.client, KeyAuthentication) else "this secret"
    told = f" (request {denied.request_id})" if denied.request_id else ""
    return (
        f"{found.issuer.issuer} does not know {client} by {held}{told}: is its public half registered for"
        f" services.{client}? is {PREFIX}CLIENT_ID that name? is the clock right?"
    )


def _denied(target: Target, denied: ExchangeDenied, client_id: str, *, for_caller: bool) -> Finding:
    if for_caller or denied.reason not in ("rule", "scope"):
        return Finding("FAIL", "rule", f"{target.callee}: {denied.error}: {denied.door}")
    return Finding(
        "WARN",
        "rule",
        f"{target.callee}: {client_id} may not call it as itself; whether it may for a caller is shown by"
        " --caller-token, or by --trust with the trust document",
    )


def rules(found: ServiceSettings, path: Path) -> Iterator[Finding]:
    """Look in a trust document for this service, for its key, and for a rule of each of its callees."""
    try:
        document = trust_document.read(path)
    except TrustError as error:
        for problem in error.problems:
            yield Finding("FAIL", "trust", problem)
        return
    service = document.services.get(found.client_id)
    name = f"services.{found.client_id}"
    if service is None:
        yield Finding("FAIL", "trust", f"{path} has no service {found.client_id}: add [{name}]")
        return
    held = found.client.kid if isinstance(found.client, KeyAuthentication) else None
    if held is not None and service.jwks is not None and held not in service.jwks:
        registered = ", ".join(str(key.kid) for key in service.jwks.keys) or "none"
        text = f"{name}.jwks: expected the key {held} of this service, found {registered}"
        yield Finding("FAIL", "trust", text)
    else:
        yield Finding("OK", "trust", f"{path} has the service {found.client_id}")
    for callee in sorted(found.urls):
        yield _rule(document, callee, found.client_id)


def _rule(document: TrustDocument, name: str, client_id: str) -> Finding:
    callee = next((known for known in document.services if setting_name(known) == name), None)
    if callee is None:
        return Finding("FAIL", "rule", f"{PREFIX}URL_{name}: the document has no such service")
    allowing = document.rules(callee, client_id)
    if not allowing:
        door = f'[[services.{callee}.allow]] caller = "{client_id}"'
        return Finding("FAIL", "rule", f"the owner of {callee} must allow {client_id}: {door}")
    told = "; ".join(f"for {rule.on_behalf_of}: {' '.join(sorted(rule.scopes))}" for rule in allowing)
    return Finding("OK", "rule", f"{callee} allows {client_id} {told}")


def _target(name: str) -> Target:
    callee = name.lower().replace("_", "-")
    return Target(callee, audience=callee)


def _listed(urls: Mapping[str, str]) -> str:
    return ", ".join(sorted(name.lower() for name in urls))


def _get(url: str) -> Flow[Response]:
    return (yield Request("GET", url, {"Accept": "application/json"}))
