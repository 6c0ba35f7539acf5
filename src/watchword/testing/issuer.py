"""An issuer in memory: real keys, real tokens, a real JWK Set, no network."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import msgspec

from watchword import service
from watchword.client.authentication import KeyAuthentication
from watchword.errors import FetchFailed
from watchword.fetch import Request, Response
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.service import IssuerSettings
from watchword.testing import in_memory
from watchword.testing.clients import Send, authenticated, calling
from watchword.testing.forgery import Draft, Forgery, forge
from watchword.testing.travelling_clock import TravellingClock
from watchword.tokens.policy import ACCESS_TOKEN_TYPE
from watchword.tokens.private_key import PrivateKey

_EXCHANGED_LIFETIME = 120
_NO_FOLDER = Path("no such folder")  # where no settings file is


class TestIssuer:
    """Signs genuine tokens and forged ones, and answers services that ask for its keys or an exchange.

    Args:
        url: its `iss`.
        algorithm: of its keys; services accept every public-key algorithm unless they were told otherwise.
        token_type: `typ` of its tokens; `JWT` for services that were set up for such an issuer.
    """

    __test__ = False  # pytest collects classes by this name

    def __init__(
        self,
        url: str = "https://issuer.test",
        *,
        algorithm: str = "ES256",
        token_type: str = ACCESS_TOKEN_TYPE,
    ) -> None:
        self.clock = TravellingClock()
        """The time of this issuer and of every service that it is installed in."""
        self.exchanges: dict[str, Collection[str] | None] = {}
        """Audience → the scopes that an exchange for it gives; `None`: it is denied. An audience that is
        not here gets what is asked for, or what the caller's token has."""
        self.url = url
        self._type = token_type
        self._keys = Issuer(url, MemoryKeyStore(), algorithm=algorithm, clock=self.clock)
        self._audiences: set[str] = set()
        self._transport = in_memory.InMemoryTransport(self._answer)
        self._prepared: str | None = None
        self._down = False
        self._undo = ExitStack()

    @property
    def jwks_uri(self) -> str:
        """Where its keys are, for services that want to be told."""
        return self.url + in_memory.JWKS

    @classmethod
    @contextmanager
    def serving(cls, **options: Any) -> "Iterator[Self]":
        """Yield an issuer that answers over HTTP on loopback too, for services that fetch keys themselves."""
        from watchword.testing.serving import serving_wsgi  # noqa: PLC0415  # for those who want HTTP

        issuers: list[Self] = []

        def application(environ: Mapping[str, Any], start: Any) -> list[bytes]:
            return issuers[0]._over_http(environ, start)

        with serving_wsgi(application) as url, cls(url, **options) as issuer:
            issuers.append(issuer)
            yield issuer

    def token(
        self,
        subject: str = "john_doe",
        *,
        audience: str | None = None,
        scope: str | Collection[str] = (),
        roles: Collection[str] = (),
        actors: Sequence[str] = (),
        client_id: str = "web",
        lifetime: int = 300,
        expired: bool = False,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> str:
        """Return a token of this issuer.

        Args:
            subject: `sub`.
            audience: the service that it is for; by default the one that this issuer is installed in.
            scope: scope tokens, as a collection or with blanks between them.
            roles: of the subject.
            actors: who acts for the subject, the current one first (RFC 8693 §4.1).
            client_id: the client that asked for it.
            lifetime: seconds.
            expired: an hour ago.
            claims: claims to replace or add; `None` leaves one out.
            header: members of the header likewise.

        Raises:
            ValueError: no audience was named, and not exactly one is known.
            ConfigurationError: a value that no issuer would sign.
        """
        draft = self._draft(
            subject, audience=audience, scope=scope, roles=roles, actors=actors, client_id=client_id,
            lifetime=lifetime, claims=claims, header=header,
        )  # fmt: skip
        return forge(Forgery.EXPIRED, draft, b"") if expired else draft.signed()

    def forge(self, kind: Forgery, subject: str = "john_doe", **options: Any) -> str:
        """Return a token that must be refused for one reason; the options are those of `token`."""
        return forge(kind, self._draft(subject, **options), self._keys.public_pem())

    def jwk_set(self) -> dict[str, Any]:
        """Return its public keys, for services that do not fetch them by Watchword (RFC 7517 §5).

        Raises:
            FetchFailed: the issuer is down.
        """
        self._demand_up()
        return dict(self._keys.jwk_set().to_dict())

    def public_pem(self) -> bytes:
        """Return the public key that it signs with now, in PEM; as `jwk_set`."""
        self._demand_up()
        return self._keys.public_pem()

    def prepare(self) -> None:
        """Publish a key that the next `rotate` will sign with: the way in which issuers should do it."""
        self._prepared = self._keys.prepare_key()

    def rotate(self) -> None:
        """Sign with the prepared key, or with one that is published this very moment.

        The old key is still published, and so tokens that it signed are still genuine.
        """
        self._keys.activate_key(self._prepared or self._keys.prepare_key())
        self._prepared = None

    def revoke_key(self) -> None:
        """Sign with another key, and publish the old one no longer: what it signed is refused.

        A service learns of it with the next key set that it fetches.
        """
        old = self._keys.keyring.active.kid
        self.rotate()
        self._keys.revoke_key(old)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Answer nobody while the block runs: neither keys nor tokens can be had."""
        self._down = True
        try:
            yield
        finally:
            self._down = False

    def settings(self, audience: str) -> dict[str, Any]:
        """Return arguments of a `Watchword` object that trusts this issuer and needs no network."""
        self._audiences.add(audience)
        return {
            "issuer": IssuerSettings(self.url, token_types=(self._type,)),
            "audience": audience,
            "client": KeyAuthentication(audience, PrivateKey.generate()),
            "transport": self._transport,
            "clock": self.clock,
        }

    def install(self, watchword: service.Watchword, *, urls: Mapping[str, str] | None = None) -> None:
        """Let a service's `Watchword` object trust this issuer, and only this one, until the test ends.

        Its audience and what it demands of tokens stay. It forgets the keys and tokens that it has.

        Args:
            watchword: the object of the service.
            urls: callee → base URL, on top of what the service was told.

        Raises:
            ValueError: the service was told to accept no such tokens as this issuer's.
        """
        settings = watchword.settings
        self._demand_fit(settings.issuer)
        main = replace(settings.issuer, issuer=self.url, jwks_uri=None, token_endpoint=None)
        client = settings.client or KeyAuthentication(settings.client_id, PrivateKey.generate())
        fresh = service.Watchword(
            issuer=main,
            audience=settings.audience,
            client_id=settings.client_id,
            client=client,
            urls={**settings.urls, **(urls or {})},
            ca_file=settings.ca_file,
            insecure_http_hosts=settings.insecure_http_hosts,
            jwks_max_age=settings.jwks_max_age,
            leeway=settings.leeway,
            audit=watchword._audit,
            observer=watchword._meter.observer,
            environ={},
            folder=_NO_FOLDER,
            clock=self.clock,
            transport=self._transport,
        )
        state = vars(watchword)
        before = dict(state)
        state.update(vars(fresh))  # whoever holds the object, such as a decorator, goes on holding it
        self._undo.callback(state.update, before)
        self._undo.callback(watchword.close)
        names = main.audience or settings.audience
        self._audiences.add(names if isinstance(names, str) else min(names))

    def client(self, app: Any, subject: str = "john_doe", **options: Any) -> Any:
        """Return the test client of an application's own framework, which sends a token with each request.

        Args:
            app: a Flask, FastAPI or Starlette application; the lifespan of the latter two runs until the
                test ends.
            subject: `sub`.
            options: those of `token`.
        """
        return authenticated(app, f"Bearer {self.token(subject, **options)}", self._undo)

    def calling(self, target: Any, path: str = "/", *, method: str = "GET", **options: Any) -> Send:
        """Return a function that calls one endpoint of a service; what a `ConformanceSuite` wants to have.

        It takes the values of the `Authorization` headers, and returns status, headers and body.

        Args:
            target: a Flask, FastAPI or Starlette application, as in `client`; a test client of either; or
                the base URL of a service that runs.
            path: of the endpoint.
            method: how it is called.
            options: what else the test client's request takes, such as `json`; none for a URL.
        """
        return calling(target, path, method, options, self._undo)

    def close(self) -> None:
        """Close its clients, and leave every service that it was installed in as that was."""
        self._undo.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"TestIssuer({self.url!r})"

    def _draft(
        self,
        subject: str,
        *,
        audience: str | None = None,
        scope: str | Collection[str] = (),
        roles: Collection[str] = (),
        actors: Sequence[str] = (),
        client_id: str = "web",
        lifetime: int = 300,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
    ) -> Draft:
        made = self._keys.new_claims(
            subject,
            self._audience() if audience is None else audience,
            client_id=client_id,
            scope=scope.split() if isinstance(scope, str) else scope,
            lifetime=lifetime,
            roles=roles or None,
        )
        act: dict[str, Any] | None = None
        for actor in reversed(actors):
            act = {"sub": actor} if act is None else {"sub": actor, "act": act}
        key = self._keys.keyring.active.key
        draft = Draft({"alg": key.alg, "kid": key.kid, "typ": self._type}, msgspec.to_builtins(made), key)
        return draft.saying(act=act).saying(**(claims or {})).headed(**(header or {}))

    def _audience(self) -> str:
        if len(self._audiences) != 1:
            known = ", ".join(sorted(self._audiences)) or "none is installed"
            raise ValueError(f"expected audience=, since there is not exactly one service: {known}")
        return next(iter(self._audiences))

    def _demand_fit(self, issuer: IssuerSettings) -> None:
        if self._type not in issuer.token_types:
            raise ValueError(
                f"the service accepts typ {', '.join(issuer.token_types)}: TestIssuer(token_type=…)"
            )
        if self._keys.algorithm not in issuer.algorithms:
            raise ValueError(f"the service accepts {', '.join(issuer.algorithms)}: TestIssuer(algorithm=…)")

    def _demand_up(self) -> None:
        if self._down:
            raise FetchFailed("the issuer in memory is down, as the test wants it")

    def _answer(self, request: Request) -> Response:
        self._demand_up()
        match request.url.removeprefix(self.url):
            case in_memory.METADATA:
                return in_memory.metadata(self.url)
            case in_memory.JWKS:
                return in_memory.json_answer(200, self.jwk_set())
            case in_memory.TOKEN:
                return self._exchange(in_memory.Asked.of(request))
        raise in_memory.not_there(request)

    def _exchange(self, asked: in_memory.Asked) -> Response:
        audience = asked.audience or ""
        subject = asked.subject or {"sub": f"service|{asked.client_id}"}
        has = frozenset(str(subject.get("scope", "")).split())
        given = self.exchanges.get(audience, asked.scope or has)
        if given is None or not audience:
            return in_memory.denied("invalid_target")
        draft = self._draft(
            subject["sub"],
            audience=audience,
            scope=given,
            roles=subject.get("roles", ()),
            client_id=asked.client_id,
            lifetime=_EXCHANGED_LIFETIME,
        )
        if asked.subject is not None:
            act = {"sub": f"service|{asked.client_id}", "act": subject.get("act")}
            draft = draft.saying(
                act={name: value for name, value in act.items() if value is not None},
                txn=subject.get("txn", draft.claims["txn"]),
                sid=subject.get("sid"),
            )
        return in_memory.granted(draft.signed(), frozenset(given), _EXCHANGED_LIFETIME)

    def _over_http(self, environ: Mapping[str, Any], start: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {"Authorization": environ.get("HTTP_AUTHORIZATION", "")}
        try:
            answer = self._answer(Request(environ["REQUEST_METHOD"], self.url + path, headers, body))
        except FetchFailed:
            answer = Response(503 if self._down else 404)
        start(f"{answer.status} {'OK' if answer.status == 200 else 'No'}", list(answer.headers.items()))
        return [answer.body]
