"""A service that verifies carefully by hand, and the same with one classic hole each; see test_holes.py."""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from watchword.errors import FetchFailed
from watchword.testing import ConformanceSuite, TestIssuer
from watchword.testing.clients import Send
from watchword.tokens import base64url

Answer = tuple[int, dict[str, str], str]


class Denied(Exception):
    def __init__(self, status: int, challenge: str) -> None:
        self.status, self.challenge = status, challenge


class Careful:
    """Keeps keys, asks for more when a kid is unknown, checks all that a resource server must."""

    def __init__(self, issuer: TestIssuer, callee: Any) -> None:
        self.issuer, self.callee = issuer, callee
        self.keys: dict[str, Any] = {}

    def __call__(self, values: Sequence[str]) -> Answer:
        try:
            token = self.credential(values)
            claims = self.verify(token)
            self.authorize(claims)
        except Denied as denied:
            return denied.status, {"WWW-Authenticate": denied.challenge}, "no"
        except jwt.InvalidTokenError as error:
            return self.answer_to_forgery(token, error)
        self.act(token)
        return 200, {}, "posts"

    def credential(self, values: Sequence[str]) -> str:
        if not values or (len(values) == 1 and not values[0].startswith("Bearer")):
            raise Denied(401, "Bearer")
        found = re.fullmatch(r"Bearer ([A-Za-z0-9\-._~+/]+=*)", values[0])
        if len(values) > 1 or found is None:
            raise Denied(400, 'Bearer error="invalid_request"')
        return found[1]

    def answer_to_forgery(self, token: str, error: Exception) -> Answer:
        return 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}, "no"

    def key(self, header: dict[str, Any]) -> Any:
        if header.get("kid") not in self.keys:
            self.fetch()
        try:
            return self.keys[header["kid"]]
        except KeyError:
            raise jwt.InvalidTokenError from None

    def fetch(self) -> None:
        self.keys = {key.key_id: key for key in jwt.PyJWKSet.from_dict(self.download()).keys}

    def download(self) -> dict[str, Any]:
        try:
            return self.issuer.jwk_set()
        except FetchFailed:
            raise Denied(503, "Bearer") from None

    def verify(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        if header.get("typ") != "at+jwt":
            raise jwt.InvalidTokenError("typ")
        claims = self.decode(token, header)
        depth, act = 0, claims.get("act")
        while act is not None:
            depth, act = depth + 1, act.get("act")
        if "cnf" in claims or depth > 8:
            raise jwt.InvalidTokenError("cnf, act")
        return claims

    def decode(self, token: str, header: dict[str, Any], **options: Any) -> dict[str, Any]:
        return jwt.decode(
            token,
            self.key(header),
            algorithms=["ES256"],
            audience="posts",
            issuer=self.issuer.url,
            options={"require": ["exp", "sub"], **options},
        )

    def authorize(self, claims: dict[str, Any]) -> None:
        if "posts:read" not in claims.get("scope", "").split():
            raise Denied(403, 'Bearer error="insufficient_scope"')

    def act(self, token: str) -> None:
        """Call somebody with a token of its own."""
        self.callee.requests.append(("/users", {"authorization": "Bearer another"}))


class NoAudience(Careful):
    def decode(self, token: str, header: dict[str, Any], **options: Any) -> dict[str, Any]:
        return super().decode(token, header, verify_aud=False)


class NoIssuer(Careful):
    def decode(self, token: str, header: dict[str, Any], **options: Any) -> dict[str, Any]:
        return super().decode(token, header, verify_iss=False)


class NoExpiry(Careful):
    def decode(self, token: str, header: dict[str, Any], **options: Any) -> dict[str, Any]:
        return super().decode(token, header, verify_exp=False, require=["sub"])


class AlgNone(Careful):
    def decode(self, token: str, header: dict[str, Any], **options: Any) -> dict[str, Any]:
        if header["alg"] == "none":
            return unverified(token)
        return super().decode(token, header)


class Unverified(Careful):
    def decode(self, token: str, header: dict[str, Any], **options: Any) -> dict[str, Any]:
        return unverified(token)


class BelievesAlg(Careful):
    def decode(self, token: str, header: dict[str, Any], **options: Any) -> dict[str, Any]:
        if header["alg"] != "HS256":
            return super().decode(token, header)
        text, _, signature = token.rpartition(".")
        mac = hmac.digest(self.issuer.public_pem(), text.encode(), hashlib.sha256)
        if base64url.encode(mac).decode() != signature:
            raise jwt.InvalidSignatureError
        return unverified(token)


class BelievesEmbeddedKeys(Careful):
    def key(self, header: dict[str, Any]) -> Any:
        return jwt.PyJWK(header["jwk"]) if "jwk" in header else super().key(header)


class AnyType(Careful):
    def verify(self, token: str) -> dict[str, Any]:
        return self.decode(token, jwt.get_unverified_header(token))


class SwallowsErrors(Careful):
    def __call__(self, values: Sequence[str]) -> Answer:
        status, _, body = super().__call__(values)
        return 200, {}, json.dumps({"ok": status == 200, "body": body})


class Forwards(Careful):
    def act(self, token: str) -> None:
        self.callee.requests.append(("/users", {"authorization": f"Bearer {token}"}))


class Echoes(Careful):
    def answer_to_forgery(self, token: str, error: Exception) -> Answer:
        status, headers, _ = super().answer_to_forgery(token, error)
        return status, headers, f"{error}: {token}"


class NoScope(Careful):
    def authorize(self, claims: dict[str, Any]) -> None:
        """Let everybody do everything."""


class TakesTheFirstHeader(Careful):
    def credential(self, values: Sequence[str]) -> str:
        return super().credential(values[:1])


class TakesTheLastWord(Careful):
    def credential(self, values: Sequence[str]) -> str:
        if not values:
            raise Denied(401, "Bearer")
        return values[-1].split(" ")[-1]


class NeverFetchesAgain(Careful):
    def fetch(self) -> None:
        if not self.keys:
            super().fetch()


class KnowsOneKey(NeverFetchesAgain):
    def download(self) -> dict[str, Any]:
        return {"keys": super().download()["keys"][:1]}


class FetchesEachTime(Careful):
    def key(self, header: dict[str, Any]) -> Any:
        self.fetch()
        return super().key(header)


class OpenWhenKeysAreDown(Careful):
    def decode(self, token: str, header: dict[str, Any], **options: Any) -> dict[str, Any]:
        try:
            return super().decode(token, header)
        except Denied:
            return unverified(token)


class LocksOut(Careful):
    """After a forgery it refuses everybody."""

    locked = False

    def verify(self, token: str) -> dict[str, Any]:
        if self.locked:
            raise jwt.InvalidTokenError("locked")
        return super().verify(token)

    def answer_to_forgery(self, token: str, error: Exception) -> Answer:
        self.locked = True
        return super().answer_to_forgery(token, error)


class NoChallenge(Careful):
    def __call__(self, values: Sequence[str]) -> Answer:
        status, _, body = super().__call__(values)
        return status, {}, body


class RefusesEverybody(Careful):
    def __call__(self, values: Sequence[str]) -> Answer:
        return 401, {"WWW-Authenticate": "Bearer"}, "no"


def unverified(token: str) -> dict[str, Any]:
    try:
        return json.loads(base64url.decode(token.split(".")[1].encode()))
    except ValueError:
        raise jwt.DecodeError from None


def suite(service: Callable[[TestIssuer, Any], Send]) -> type[ConformanceSuite]:
    class Suite(ConformanceSuite):
        audience, scope = "posts", "posts:read"

        @pytest.fixture
        def watchword_callee(self) -> Any:
            return SimpleNamespace(requests=[])  # these services write down what they would send

        @pytest.fixture
        def send(self, watchword_issuer: TestIssuer, watchword_callee: Any) -> Send:
            return service(watchword_issuer, watchword_callee)

    return Suite


for broken in (Careful, KnowsOneKey, *Careful.__subclasses__()):
    globals()[f"Test{broken.__name__}"] = suite(broken)
