"""The guide's posts-service with the one argument that the tutorial adds: what it refuses, and what not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from watchword.errors import FetchFailed
from watchword.testing import ConformanceSuite, Forgery, TestIssuer
from watchword.testing.clients import Send
from watchword.testing.peers import Peer, Reply

GUIDE = Path(__file__).resolve().parents[2] / "examples" / "guide" / "theirs" / "posts_service.py"
UNFIXED = 'algorithms=["RS256"])'


def guide(users_url: str, *, fixed: bool = True) -> Any:
    source = GUIDE.read_text()
    assert UNFIXED in source
    if fixed:
        source = source.replace(UNFIXED, 'algorithms=["RS256"], audience="posts")')
    names: dict[str, Any] = {"__name__": "posts_service"}
    exec(compile(source, str(GUIDE), "exec"), names)
    names["USERS_SERVICE_URL"] = users_url
    app = names["app"]

    @app.after_request
    def challenge(answer: Any) -> Any:  # the guide's 401 lacks it; with it the suite sees the rest
        if answer.status_code == 401:
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer

    return app


def publish(issuer: TestIssuer, users: Peer) -> None:
    def public_key(*_: object) -> Reply:
        try:
            return Reply(200, issuer.public_pem())
        except FetchFailed:
            return Reply(503, b"")

    users.routes["/public-key"] = public_key


class TestGuide(ConformanceSuite):
    audience = "posts"
    malformed_statuses = frozenset({401})
    excused: ClassVar = {
        Forgery.WRONG_ISSUER: "issuer= is not given",
        Forgery.NO_EXPIRY: "PyJWT does not demand exp unless it is told to",
        Forgery.WRONG_TYPE: "typ is not looked at",
        Forgery.BOUND: "cnf is not looked at",
        Forgery.DEEP_ACT: "act is not looked at",
        "test_a_missing_scope_is_403": "there are no scopes",
        "test_a_new_key_that_was_published_in_time_goes_unnoticed": "it knows one key",
        "test_a_new_key_that_was_just_published_goes_unnoticed": "it knows one key: everybody is logged out",
        "test_keys_that_are_known_are_enough_while_the_issuer_is_down": "the key is fetched each time",
        "test_the_callers_token_goes_no_further": "it is forwarded",
    }

    @pytest.fixture(scope="class")
    @classmethod
    def watchword_issuer(cls) -> Iterator[TestIssuer]:
        with TestIssuer(algorithm="RS256") as issuer:
            yield issuer

    @pytest.fixture
    def send(self, watchword_issuer: TestIssuer, watchword_callee: Peer) -> Send:
        publish(watchword_issuer, watchword_callee)
        return watchword_issuer.calling(guide(watchword_callee.url), "/posts")


def test_without_the_argument_the_guide_refuses_even_the_genuine(watchword_callee: Peer) -> None:
    issuer = TestIssuer(algorithm="RS256")
    publish(issuer, watchword_callee)
    values = [f"Bearer {issuer.token(audience='posts')}"]
    assert issuer.calling(guide(watchword_callee.url, fixed=False), "/posts")(values).status == 401
    assert issuer.calling(guide(watchword_callee.url), "/posts")(values).status == 200
