"""What the adapter of every HTTP library must do; its test is a subclass with one method.

```python
class TestRequests(OutboundBehaviour):
    def call(self, posts, path="/users", *, method="GET", body=None, one_way=False) -> tuple[int, Any]:
        with posts.session("users") as session:
            answer = session.request(method, path, data=iter([body]) if one_way else body)
            return answer.status_code, answer.json()
```

Redirects are followed; of a `one_way` body nothing is left once it was read.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from watchword.errors import DestinationRefused, ExchangeDenied, NoCaller, TokenEndpointUnreachable
from watchword.service import Watchword
from watchword.testing.framework_site import expect
from watchword.testing.outbound_site import INVALID_TOKEN, OutboundSite, outbound_site
from watchword.testing.peers import Reply

__all__ = ["OutboundBehaviour"]


class OutboundBehaviour:
    """Subclass it as `Test…` and write `call`."""

    def call(
        self,
        posts: Watchword,
        path: str = "/users",
        *,
        method: str = "GET",
        body: bytes | None = None,
        one_way: bool = False,
    ) -> tuple[int, Any]:
        """Call the service `users` for the current caller and return status and JSON of the answer."""
        raise AssertionError("an adapter's test says how its library calls")

    retries_a_step_of_a_redirect = True
    """Whether a token that is refused after a redirect is renewed there; where not, the answer stays 401."""

    @pytest.fixture
    def site(self) -> Iterator[OutboundSite]:
        """Run a service with all that stands around it."""
        with outbound_site() as site:
            yield site

    @pytest.mark.threat(227)
    def test_the_callee_gets_an_exchanged_token_and_never_the_callers_own(self, site: OutboundSite) -> None:
        token = site.issuer.token()
        with site.posts.acting_for(token):
            sent = self.call(site.posts)[1]["authorization"]
        expect(sent.startswith("Bearer ") and sent != f"Bearer {token}", "the credential")

    @pytest.mark.parametrize("path", ["/users", "users", "users?id=1&next=https://elsewhere.example/"])
    def test_relative_urls_are_of_the_callee(self, site: OutboundSite, path: str) -> None:
        with site.posts.acting_for(site.issuer.token()):
            expect(self.call(site.posts, path)[1]["authorization"].startswith("Bearer "), path)

    def test_many_calls_of_one_request_cost_one_exchange(self, site: OutboundSite) -> None:
        with site.posts.acting_for(site.issuer.token()):
            for _ in range(5):
                expect(self.call(site.posts)[0] == 200, site.users.requests)
        expect(site.exchanges == 1, site.exchanges)

    @pytest.mark.threat(239)
    def test_outside_a_request_nothing_is_made_and_nothing_leaves(self, site: OutboundSite) -> None:
        with pytest.raises(NoCaller):
            self.call(site.posts)
        expect(site.exchanges == 0 and not site.users.requests, site.users.requests)

    @pytest.mark.threat(237)
    @pytest.mark.parametrize(
        "url",
        [
            "{stranger}/users",
            "http://localhost:{port}/users",
            "http://user:pass@127.0.0.1:{port}/users",
            "http://127.0.0.1:{port}@{stranger_host}/users",
            "http://127.0.0.2:{port}/users",
            "http://users.example/users",
        ],
    )
    def test_a_token_goes_to_the_exact_origin_of_the_callee_only(self, site: OutboundSite, url: str) -> None:
        told = url.format(
            stranger=site.stranger.url,
            stranger_host=site.stranger.url.removeprefix("http://"),
            port=site.users.url.rpartition(":")[2],
        )
        with site.posts.acting_for(site.issuer.token()), pytest.raises(DestinationRefused):
            self.call(site.posts, told)
        expect(site.users.requests == site.stranger.requests == [], site.stranger.requests)

    @pytest.mark.threat(237)
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_to_another_origin_does_not_carry_the_token(
        self, site: OutboundSite, status: int
    ) -> None:
        place = {"Location": f"{site.stranger.url}/users"}
        site.users.routes["/moved"] = lambda *_: Reply(status, {}, place)
        with site.posts.acting_for(site.issuer.token()):
            answer = self.call(site.posts, "/moved")
        expect(answer == (200, {"authorization": None}), "the credential")
        expect(len(site.stranger.requests) == 1, site.stranger.requests)

    @pytest.mark.threat(237)
    def test_a_redirect_within_the_origin_keeps_the_token(self, site: OutboundSite) -> None:
        site.users.routes["/moved"] = lambda *_: Reply(307, {}, {"Location": "/users"})
        with site.posts.acting_for(site.issuer.token()):
            expect(self.call(site.posts, "/moved")[1]["authorization"].startswith("Bearer "), "nothing")

    @pytest.mark.threat(237)
    def test_a_way_back_from_another_origin_does_not_bring_the_token_back(self, site: OutboundSite) -> None:
        away, back = {"Location": f"{site.stranger.url}/back"}, {"Location": f"{site.users.url}/users"}
        site.users.routes["/moved"] = lambda *_: Reply(307, {}, away)
        site.stranger.routes["/back"] = lambda *_: Reply(307, {}, back)
        with site.posts.acting_for(site.issuer.token()):
            answer = self.call(site.posts, "/moved")
        expect(answer == (200, {"authorization": None}), "the credential")
        expect(site.stranger.credentials == [""], "the credentials")

    def test_a_denied_exchange_is_told_before_anything_leaves(self, site: OutboundSite) -> None:
        site.issuer.denial = Reply(400, {"error": "invalid_target"}, {"X-Request-Id": "r-7"})
        with site.posts.acting_for(site.issuer.token()), pytest.raises(ExchangeDenied) as refused:
            self.call(site.posts)
        error = refused.value
        told = (error.error, error.reason, error.callee, error.request_id)
        expect(told == ("invalid_target", "rule", "users", "r-7"), told)
        expect('[[services.users.allow]] caller = "posts"' in error.door, error.door)
        expect(not site.users.requests, site.users.requests)

    def test_an_issuer_that_is_gone_is_a_typed_error(self, site: OutboundSite) -> None:
        with site.posts.acting_for(site.issuer.token()):
            site.issuer.close()
            with pytest.raises(TokenEndpointUnreachable):
                self.call(site.posts)
        expect(not site.users.requests, site.users.requests)

    @pytest.mark.threat(241)
    def test_a_token_that_is_refused_is_renewed_once_and_the_request_sent_again(
        self, site: OutboundSite
    ) -> None:
        with site.posts.acting_for(site.issuer.token()):
            expect(self.call(site.posts)[0] == 200, "the first")
            site.users.revoke_all()
            expect(self.call(site.posts)[0] == 200, "the second")
            expect(self.call(site.posts)[0] == 200, "the third")
        first, again, second, third = site.users.credentials
        expect(first == again and second == third and first != second, "the credentials")
        expect(site.exchanges == 2, site.exchanges)

    @pytest.mark.threat(241)
    def test_a_fresh_token_that_is_refused_too_is_remembered_for_a_moment(self, site: OutboundSite) -> None:
        site.users.refuses_all = True
        with site.posts.acting_for(site.issuer.token()):
            expect(self.call(site.posts) == (401, {"code": "refused"}), "the answer")
            expect((site.exchanges, len(site.users.requests)) == (2, 2), site.exchanges)
            for _ in range(5):
                expect(self.call(site.posts)[0] == 401, "the answer")
            expect((site.exchanges, len(site.users.requests)) == (2, 7), site.exchanges)
            site.clock.advance(31)
            expect(self.call(site.posts)[0] == 401, "the answer")
            expect((site.exchanges, len(site.users.requests)) == (3, 9), site.exchanges)
            site.users.refuses_all = False
            expect(self.call(site.posts)[0] == 200, "the answer")
        expect(site.exchanges == 3, site.exchanges)

    @pytest.mark.threat(241)
    def test_only_the_failed_token_is_given_up(self, site: OutboundSite) -> None:
        people = [site.issuer.token(name) for name in ("ada", "bob")]
        for person in people:
            with site.posts.acting_for(person):
                self.call(site.posts)
        site.users.refused.add(site.users.credentials[0])
        for person in people:
            with site.posts.acting_for(person):
                expect(self.call(site.posts)[0] == 200, "the answer")
        expect(site.exchanges == 3, site.exchanges)
        expect(site.users.credentials[-1] == site.users.credentials[1], "the credentials")

    @pytest.mark.threat(241)
    @pytest.mark.parametrize(
        ("status", "challenge"),
        [
            (401, 'Bearer error="insufficient_scope"'),
            (401, 'Basic realm="error=invalid_token"'),
            (403, INVALID_TOKEN),
        ],
    )
    def test_another_refusal_costs_no_token_and_no_second_request(
        self, site: OutboundSite, status: int, challenge: str
    ) -> None:
        site.users.refuses_all, site.users.status, site.users.challenge = True, status, challenge
        with site.posts.acting_for(site.issuer.token()):
            expect(self.call(site.posts)[0] == status, "the answer")
        expect((site.exchanges, len(site.users.requests)) == (1, 1), site.users.requests)

    @pytest.mark.threat(241)
    def test_a_body_is_sent_again_as_it_was(self, site: OutboundSite) -> None:
        body = b"\x00\xff" * 5_000
        with site.posts.acting_for(site.issuer.token()):
            self.call(site.posts)
            site.users.revoke_all()
            expect(self.call(site.posts, method="POST", body=body)[0] == 200, "the answer")
        expect(site.users.bodies[1:] == [body, body], [len(body) for body in site.users.bodies])

    @pytest.mark.threat(241)
    def test_a_body_that_is_gone_is_not_sent_again_but_the_next_request_has_a_new_token(
        self, site: OutboundSite
    ) -> None:
        with site.posts.acting_for(site.issuer.token()):
            self.call(site.posts)
            site.users.revoke_all()
            expect(self.call(site.posts, method="POST", body=b"once", one_way=True)[0] == 401, "the answer")
            expect(site.users.bodies[1:] == [b"once"], site.users.bodies)
            expect(self.call(site.posts)[0] == 200, "the answer")
        expect((site.exchanges, len(site.users.requests)) == (2, 3), site.exchanges)

    @pytest.mark.threat(241)
    def test_a_request_that_was_accepted_and_redirected_is_not_done_twice(self, site: OutboundSite) -> None:
        done: list[bytes] = []

        def order(_: Mapping[str, str], body: bytes) -> Reply:
            done.append(body)
            return Reply(303, {}, {"Location": "/users"})

        site.users.routes["/orders"] = order
        with site.posts.acting_for(site.issuer.token()):
            self.call(site.posts)
            site.users.revoke_all()
            status, _ = self.call(site.posts, "/orders", method="POST", body=b"one order")
            expect(status == (200 if self.retries_a_step_of_a_redirect else 401), status)
            expect(self.call(site.posts)[0] == 200, "the answer")
        expect(done == [b"one order"], done)
        expect(site.exchanges == 2, site.exchanges)

    @pytest.mark.threat(237, 241)
    def test_another_origin_that_refuses_costs_no_token(self, site: OutboundSite) -> None:
        site.stranger.refuses_all = True
        place = {"Location": f"{site.stranger.url}/users"}
        site.users.routes["/moved"] = lambda *_: Reply(307, {}, place)
        with site.posts.acting_for(site.issuer.token()):
            expect(self.call(site.posts, "/moved")[0] == 401, "the answer")
        expect(site.stranger.credentials == [""], "the credentials")
        expect(site.exchanges == 1, site.exchanges)

    @pytest.mark.threat(241)
    def test_a_renewal_that_fails_leaves_the_callees_answer_and_is_not_tried_at_once(
        self, site: OutboundSite
    ) -> None:
        with site.posts.acting_for(site.issuer.token()):
            self.call(site.posts)
            site.users.refuses_all = True
            site.issuer.denial = Reply(503, {})
            site.clock.freeze()
            for _ in range(5):
                expect(self.call(site.posts) == (401, {"code": "refused"}), "the answer")
            expect((site.exchanges, len(site.users.requests)) == (2, 6), site.exchanges)
            site.issuer.denial = None
            site.users.refuses_all = False
            site.users.revoke_all()
            site.clock.advance(1.1)
            expect(self.call(site.posts)[0] == 200, "the answer")

    @pytest.mark.threat(77)
    def test_a_proxy_of_the_environment_is_not_used(
        self, site: OutboundSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, site.stranger.url)
        with site.posts.acting_for(site.issuer.token()):
            expect(self.call(site.posts)[0] == 200, "the answer")
        expect(not site.stranger.requests, site.stranger.requests)
