"""What every service must refuse, as a suite that a team runs against its own.

```python
class TestPosts(ConformanceSuite):
    audience = "posts"
    scope = "posts:read"

    @pytest.fixture
    def send(self, watchword_issuer):
        watchword_issuer.install(auth)
        return watchword_issuer.calling(app, "/posts")
```

Each check says in its failure what the hole lets in. A check that a service cannot pass yet is named in
`excused`, with the reason; as soon as the service passes it, the excuse fails.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from watchword.testing.clients import Answer, Send
from watchword.testing.forgery import Forgery
from watchword.testing.issuer import TestIssuer
from watchword.testing.peers import Peer

_SHORTEST = 16  # characters of a part of a token that cannot be there by chance


class ConformanceSuite:
    """Subclass it as `Test…`, and write the fixture `send`."""

    audience: ClassVar[str]
    """The name under which tokens are meant for the service."""
    scope: ClassVar[str] = ""
    """What the endpoint asks for; empty: nothing, and then `test_a_missing_scope_is_403` needs an excuse."""
    roles: ClassVar[Sequence[str]] = ()
    """What the subject must be."""
    malformed_statuses: ClassVar[Collection[int]] = frozenset({400})
    """What answers a malformed header; RFC 6750 §3.1 wants 400, many services say 401."""
    excused: ClassVar[Mapping[str, str]] = {}
    """A `Forgery` or the name of a test → why this service does not refuse it."""

    @pytest.fixture
    def send(self, watchword_issuer: TestIssuer) -> Send:
        """Return a function that calls one guarded endpoint; it must answer 2xx to a genuine token.

        It gets the values of the `Authorization` headers, and returns status, headers and body;
        `watchword_issuer.calling` makes one. Here the service is told to trust `watchword_issuer`, too.
        """
        pytest.fail(f"{type(self).__name__} needs a fixture send: how is one guarded endpoint called?")

    @pytest.fixture(autouse=True)
    def _excuses(self, request: pytest.FixtureRequest) -> None:
        known = {name for name in dir(type(self)) if name.startswith("test_")} | set(Forgery)
        unknown = sorted(set(self.excused) - known)
        if unknown:
            pytest.fail(f"excused: expected a Forgery or the name of a test, found {', '.join(unknown)}")
        parameters = getattr(getattr(request.node, "callspec", None), "params", {})
        for name in (request.node.originalname, parameters.get("forgery")):
            if name is not None and name in self.excused:
                reason = self.excused[name]
                request.applymarker(pytest.mark.xfail(raises=AssertionError, reason=reason, strict=True))

    def test_a_genuine_token_is_accepted(self, send: Send, watchword_issuer: TestIssuer) -> None:
        self._expect_accepted(send, self._token(watchword_issuer), "everything else here proves nothing")

    def test_no_token_is_401_with_a_bare_challenge(self, send: Send) -> None:
        answer = self._refused(send, [], {401}, "anybody gets in without a token")
        if "error=" in answer.headers["www-authenticate"]:
            _fail("a challenge without error, since the client did nothing wrong (RFC 6750 §3.1)", answer)

    @pytest.mark.parametrize("value", ["Bearer", "Bearer a b", "Bearer ", "Bearer a,b"])
    def test_a_malformed_credential_is_refused(self, send: Send, value: str) -> None:
        self._refused(send, [value], self.malformed_statuses, "what is no credential is taken for one")

    def test_another_scheme_is_no_token(self, send: Send, watchword_issuer: TestIssuer) -> None:
        values = [f"Basic {self._token(watchword_issuer)}"]
        self._refused(send, values, {401, *self.malformed_statuses}, "the scheme is not looked at")

    def test_two_credentials_are_refused_even_if_both_are_genuine(
        self, send: Send, watchword_issuer: TestIssuer
    ) -> None:
        values = [f"Bearer {self._token(watchword_issuer)}" for _ in range(2)]
        self._refused(
            send,
            values,
            {401, *self.malformed_statuses},
            "a gateway may judge one token and the service obey another",
        )

    @pytest.mark.parametrize("forgery", list(Forgery), ids=lambda forgery: forgery.name.lower())
    def test_a_forgery_is_refused(self, send: Send, watchword_issuer: TestIssuer, forgery: Forgery) -> None:
        token = self._forged(watchword_issuer, forgery)
        answer = self._refused(send, [f"Bearer {token}"], {401}, f"a token gets in that is {forgery}")
        _expect_silence(answer, token)
        self._expect_accepted(
            send, self._token(watchword_issuer), "whoever sends a forgery locks everybody else out"
        )

    def test_a_missing_scope_is_403(self, send: Send, watchword_issuer: TestIssuer) -> None:
        token = self._token(watchword_issuer, scope=("something:else",))
        answer = self._refused(send, [f"Bearer {token}"], {403}, "every token may do everything")
        if 'error="insufficient_scope"' not in answer.headers["www-authenticate"]:
            _fail('error="insufficient_scope" in WWW-Authenticate (RFC 6750 §3.1)', answer)
        _expect_silence(answer, token)

    def test_a_new_key_that_was_published_in_time_goes_unnoticed(
        self, request: pytest.FixtureRequest, watchword_issuer: TestIssuer
    ) -> None:
        watchword_issuer.prepare()
        send = request.getfixturevalue("send")  # only now, since some services fetch keys when they start
        self._change_of_key(send, watchword_issuer)

    def test_a_new_key_that_was_just_published_goes_unnoticed(
        self, send: Send, watchword_issuer: TestIssuer
    ) -> None:
        self._change_of_key(send, watchword_issuer)

    def test_keys_that_are_known_are_enough_while_the_issuer_is_down(
        self, send: Send, watchword_issuer: TestIssuer
    ) -> None:
        token = self._token(watchword_issuer)
        self._expect_accepted(send, token, "everything else here proves nothing")
        with watchword_issuer.down():
            self._expect_accepted(send, token, "an outage of the issuer is one of this service")

    def test_nothing_unproven_gets_in_while_the_issuer_is_down(
        self, send: Send, watchword_issuer: TestIssuer
    ) -> None:
        token = self._forged(watchword_issuer, Forgery.UNKNOWN_KID)
        with watchword_issuer.down():
            answer = self._send(send, [f"Bearer {token}"])
        if answer.status != 401 and answer.status < 500:
            _fail("status 401 or 503, since without keys nothing can be verified", answer)
        _expect_silence(answer, token)

    def test_the_callers_token_goes_no_further(
        self, send: Send, watchword_issuer: TestIssuer, watchword_callee: Peer
    ) -> None:
        token = self._token(watchword_issuer)
        self._expect_accepted(send, token, "everything else here proves nothing")
        if not watchword_callee.requests:
            pytest.skip("the endpoint called no service at the URL of watchword_callee")
        for path, headers in watchword_callee.requests:
            if any(token in value for value in headers.values()) or token in path:
                raise AssertionError(
                    f"expected a token of its own for the callee, found the caller's in a request for"
                    f" {path.partition('?')[0]}: every service on the way can act as this caller everywhere"
                )

    def _change_of_key(self, send: Send, issuer: TestIssuer) -> None:
        old = self._token(issuer)
        self._expect_accepted(send, old, "everything else here proves nothing")
        issuer.rotate()
        new = self._token(issuer)
        self._expect_accepted(send, new, "a new key of the issuer is an outage of this service")
        self._expect_accepted(send, old, "a new key of the issuer logs everybody out")

    def _token(self, issuer: TestIssuer, **options: Any) -> str:
        return issuer.token(**self._options() | options)

    def _forged(self, issuer: TestIssuer, forgery: Forgery) -> str:
        return issuer.forge(forgery, **self._options())

    def _options(self) -> dict[str, Any]:
        return {"audience": self.audience, "scope": self.scope, "roles": self.roles}

    def _send(self, send: Send, values: Sequence[str]) -> Answer:
        status, headers, body = send(values)
        known = {name.lower(): value for name, value in dict(headers).items()}
        return Answer(int(status), known, body.encode() if isinstance(body, str) else bytes(body))

    def _expect_accepted(self, send: Send, token: str, otherwise: str) -> None:
        answer = self._send(send, [f"Bearer {token}"])
        if not 200 <= answer.status < 300:
            _fail(f"success for a genuine token; otherwise {otherwise}", answer)

    def _refused(self, send: Send, values: Sequence[str], statuses: Collection[int], hole: str) -> Answer:
        answer = self._send(send, values)
        if answer.status not in statuses:
            expected = " or ".join(map(str, sorted(statuses)))
            got_in = f": {hole}" if answer.status < 400 else ""
            _fail(f"status {expected}{got_in}", answer)
        if not answer.headers.get("www-authenticate", "").lower().startswith("bearer"):
            _fail("WWW-Authenticate: Bearer with the refusal (RFC 6750 §3)", answer)
        return answer


def _expect_silence(answer: Answer, token: str) -> None:
    """Refuse answers that say what was in the token: bodies end in logs, screenshots and other services."""
    said = f"{list(answer.headers.items())}".encode() + answer.body
    for part in token.split("."):
        if len(part) >= _SHORTEST and part.encode() in said:
            _fail("a refusal that does not repeat the token", answer._replace(body=b"(hidden)", headers={}))


def _fail(expected: str, answer: Answer) -> None:
    challenge = answer.headers.get("www-authenticate", "none")
    raise AssertionError(
        f"expected {expected}; found status {answer.status}, WWW-Authenticate {challenge},"
        f" body {answer.body[:200]!r}"
    )
