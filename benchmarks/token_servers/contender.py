"""A token service that takes part, and how it is asked each thing that is measured."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

import jwt

from benchmarks import load
from benchmarks.server_process import ServerProcess
from watchword.tokens.private_key import PrivateKey

LIFETIME = 300  # seconds, of every token of everybody: the longest that a rule of ours gives
SECRET = secrets.token_urlsafe(32)
CLIENT_KEY = PrivateKey.generate("ES256")
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Make = Callable[[int], list[bytes]]
"""Makes so many requests; what takes time is done before anybody looks at a clock."""

_numbers = count()


@dataclass(frozen=True)
class Contender:
    """One token service.

    Args:
        server: runs it.
        paths: of `token`, `introspect` and `keys`.
        target: the parameters that ask for a token for a service, by its name.
        opaque: the same for a token that introspection answers about, where that is another kind.
    """

    server: ServerProcess
    paths: Mapping[str, str]
    target: Callable[[str], Mapping[str, str]]
    opaque: Callable[[str], Mapping[str, str]] | None = None
    seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def _post(self, path: str, client: str | None, form: Mapping[str, str]) -> bytes:
        given = {}
        if client is not None:
            given["Authorization"] = "Basic " + base64.b64encode(f"{client}:{SECRET}".encode()).decode()
        return load.request("POST", self.paths[path], self.server.host, form=form, headers=given)

    def by_secret(self, n: int, *, client: str = "posts", callee: str = "users") -> list[bytes]:
        """`client_credentials` with a secret."""
        form = {"grant_type": "client_credentials", **self.target(callee)}
        return [self._post("token", client, form)] * n

    def by_assertion(self, n: int) -> list[bytes]:
        """`client_credentials` with `private_key_jwt`; each assertion works once."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION,
            **self.target("users"),
        }
        return [self._post("token", None, form | {"client_assertion": self._assertion()}) for _ in range(n)]

    def exchange_unseen(self, n: int) -> list[bytes]:
        """Token exchange, each with a subject token that the server meets for the first time."""
        return [self._exchange(token) for token in self._tokens(n)]

    def exchange_seen(self, n: int) -> list[bytes]:
        """Token exchange with one and the same subject token."""
        return [self._exchange(self._seen())] * n

    def introspect_unseen(self, n: int) -> list[bytes]:
        """Introspection, each of a token that the server meets for the first time."""
        return [self._post("introspect", "posts", {"token": token}) for token in self._tokens(n, opaque=True)]

    def introspect_seen(self, n: int) -> list[bytes]:
        """Introspection of one and the same token."""
        return [self._post("introspect", "posts", {"token": self._seen(opaque=True)})] * n

    def seen_token(self) -> str:
        """Return a token for `posts`, the same one for a while."""
        return self._seen()

    def keys(self, n: int) -> list[bytes]:
        """Fetch the JWK Set."""
        return [load.request("GET", self.paths["keys"], self.server.host)] * n

    def first(self, requests: list[bytes]) -> dict[str, object]:
        """Return what the first of these requests is answered.

        Raises:
            RuntimeError: not with 200.
        """
        (answer,) = load.answers(self.server.port, requests[:1])
        if answer.status != 200:
            raise RuntimeError(f"{self.server.name} answered {answer.status}: {answer.body[:300]!r}")
        found: dict[str, object] = json.loads(answer.body)
        return found

    def _exchange(self, token: str) -> bytes:
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            **self.target("users"),
        }
        return self._post("token", "posts", form)

    def _seen(self, *, opaque: bool = False) -> str:
        kind = "opaque" if opaque else "token"
        token, made = self.seen.get(kind, ("", 0.0))
        if not token or time.monotonic() - made > LIFETIME / 3:
            (token,) = self._tokens(1, opaque=opaque)
            self.seen[kind] = token, time.monotonic()
        return token

    def _tokens(self, n: int, *, opaque: bool = False) -> list[str]:
        """Return new tokens for `posts`, got by `gateway`."""
        target = self.opaque if opaque and self.opaque is not None else self.target
        form = {"grant_type": "client_credentials", **target("posts")}
        answers = load.answers(self.server.port, [self._post("token", "gateway", form)] * n)
        return [json.loads(answer.body)["access_token"] for answer in answers]

    def _assertion(self) -> str:
        now = int(time.time())
        claims = {
            "iss": "signed", "sub": "signed", "aud": f"http://{self.server.host}", "iat": now,
            "exp": now + 120, "jti": f"{next(_numbers):022}",
        }  # fmt: skip
        material = CLIENT_KEY._material
        return jwt.encode(claims, material, algorithm="ES256", headers={"kid": CLIENT_KEY.kid})  # type: ignore[arg-type]
