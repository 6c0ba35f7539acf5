"""What every framework adapter must do, over real HTTP; an adapter's test is a subclass with one method.

```python
class TestFlask(FrameworkBehaviour):
    @contextmanager
    def serve(self, settings, endpoints) -> Iterator[str]:  # the base URL
        ...
```

The application under test has these routes, all of them `GET`:

| | guarded by | answers |
| --- | --- | --- |
| `/open` | nothing | `endpoints.who()` |
| `/read` | `posts:read` | JSON: `subject`, `scope`, `roles` of its token, and `caller`: `endpoints.who()` |
| `/edit` | `posts:read`, role `editor` | anything |
| `/fail` | `posts:read` | calls `endpoints.fail()` |
| `/meet` | `posts:read` | calls `endpoints.meet()`, then `endpoints.who()` |
| `/stream` | `posts:read` | three chunks, each `endpoints.who()` |
| `/authors` | `posts:read` | the JSON of `GET /users` at the service `users`, for the caller; 2 s at most |
| `/optional` | `posts:read`, optional | `endpoints.who()` |
| `/drafts` | `posts:read`, audience `drafts` | `endpoints.who()` |

and publishes the metadata of `RESOURCE`.
"""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from watchword.testing.framework_site import (
    GUARD,
    METADATA_PATH,
    REFUSED,
    RESOURCE,
    THREADS,
    Endpoints,
    Site,
    decoded,
    expect,
    expect_problem,
)
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.tokens.private_key import PrivateKey

__all__ = ["RESOURCE", "Endpoints", "FrameworkBehaviour"]


class FrameworkBehaviour:
    """Subclass it as `Test…` and write `serve`."""

    def serve(self, settings: Mapping[str, Any], endpoints: Endpoints) -> AbstractContextManager[str]:
        """Serve the application on loopback with these settings of `Watchword` and yield its base URL.

        At least eight requests must run side by side, and threads must be used again.
        """
        raise AssertionError("an adapter's test says how its application is served")

    @contextmanager
    def _site(self) -> Iterator[Site]:
        issuer, users = IssuingPeer(), Peer()
        users.routes["/users"] = lambda *_: Reply(200, [{"user_id": "ada"}])
        with TemporaryDirectory() as folder, issuer.running(), users.running():
            key_file = Path(folder, "posts.key")
            key_file.touch(0o600)
            key_file.write_bytes(PrivateKey.generate().insecure_private_pem())
            settings = {
                "issuer": issuer.url,
                "audience": ["posts", "drafts"],
                "client_id": "posts",
                "client_key_file": str(key_file),
                "urls": {"users": users.url},
            }
            endpoints = Endpoints()
            with self.serve(settings, endpoints) as url:
                yield Site(url, issuer, users, endpoints)

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls) -> Iterator[Site]:
        """Run the application, its issuer and its callee, once per class."""
        with cls()._site() as site:
            yield site

    @pytest.fixture
    def fresh_site(self) -> Iterator[Site]:
        """Run the same for one test that breaks something."""
        with self._site() as site:
            yield site

    def test_a_genuine_token_is_admitted_and_its_subject_is_the_caller(self, site: Site) -> None:
        answer = site.get("/read", site.issuer.token(roles=["reader"]))
        expect(answer.status == 200, answer)
        expect(
            answer.json()
            == {
                "subject": "john_doe",
                "scope": ["posts:read"],
                "roles": ["reader"],
                "caller": "john_doe",
            },
            answer,
        )

    @pytest.mark.threat(233)
    def test_no_token_is_a_bare_challenge(self, site: Site) -> None:
        answer = site.get("/read")
        expect(answer.status == 401, answer)
        expect(answer.headers["www-authenticate"].startswith("Bearer"), answer)
        expect("error=" not in answer.headers["www-authenticate"], answer)
        expect_problem(answer)

    @pytest.mark.threat(233)
    @pytest.mark.parametrize(
        "value", ["Bearer", "Bearer ", "Bearer a b", "Basic dXNlcjpwYXNz", "token", "Bearer,x"]
    )
    def test_a_malformed_header_is_refused(self, site: Site, value: str) -> None:
        answer = site.get("/read", authorization=[value])
        expect(answer.status in {400, 401}, answer)
        expect(answer.headers["www-authenticate"].startswith("Bearer"), answer)
        expect_problem(answer)

    def test_two_credentials_are_refused_even_if_both_are_genuine(self, site: Site) -> None:
        token = site.issuer.token()
        answer = site.get("/read", authorization=[f"Bearer {token}", f"Bearer {token}"])
        expect(answer.status == 400, answer)
        expect('error="invalid_request"' in answer.headers["www-authenticate"], answer)
        expect_problem(answer)

    @pytest.mark.threat(229, 233)
    @pytest.mark.parametrize("kind", sorted(REFUSED))
    def test_a_token_that_must_be_refused_is_refused(self, site: Site, kind: str) -> None:
        token = REFUSED[kind](site.issuer)
        answer = site.get("/read", token)
        expect(answer.status == 401, answer)
        expect('error="invalid_token"' in answer.headers["www-authenticate"], answer)
        expect(token.split(".")[1] not in f"{answer.headers}{answer.body!r}", answer)
        expect_problem(answer)

    def test_a_missing_scope_is_403_and_names_the_scope(self, site: Site) -> None:
        answer = site.get("/read", site.issuer.token(scope={"posts:write"}))
        expect(answer.status == 403, answer)
        expect('error="insufficient_scope"' in answer.headers["www-authenticate"], answer)
        expect('scope="posts:read"' in answer.headers["www-authenticate"], answer)
        expect_problem(answer)

    def test_a_role_decides(self, site: Site) -> None:
        reader = site.get("/edit", site.issuer.token(roles=["reader"]))
        expect(reader.status == 403, reader)
        expect_problem(reader)
        expect(site.get("/edit", site.issuer.token(roles=["reader", "editor"])).status == 200, reader)

    def test_a_head_request_does_not_go_around_the_guard(self, site: Site) -> None:
        answer = site.get("/read", method="HEAD")
        expect(answer.status in {401, 405}, answer)
        expect(answer.body == b"", answer)

    def test_a_preflight_never_reaches_the_endpoint(self, site: Site) -> None:
        answer = site.get("/read", site.issuer.token(), method="OPTIONS")
        expect(answer.status in {200, 405}, answer)
        expect(b"john_doe" not in answer.body, answer)

    def test_an_unguarded_endpoint_has_no_caller_even_with_a_token(self, site: Site) -> None:
        expect(site.get("/open", site.issuer.token()).body.decode().strip('"') == "nobody", None)

    def test_the_caller_lives_as_long_as_a_streamed_answer(self, site: Site) -> None:
        answer = site.get("/stream", site.issuer.token("jane_doe"))
        expect(answer.body == b"jane_doe" * 3, answer)

    def test_a_broken_endpoint_does_not_leave_its_caller_behind(self, site: Site) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            tokens = [site.issuer.token(f"person_{n}") for n in range(THREADS)]
            failed = list(pool.map(lambda token: site.get("/fail", token).status, tokens))
            expect(failed == [500] * THREADS, failed)
            left = pool.map(lambda _: site.get("/open").body.decode().strip('"'), range(THREADS * 2))
            expect(set(left) == {"nobody"}, left)

    def test_requests_that_run_side_by_side_never_see_each_other(self, site: Site) -> None:
        names = [f"person_{n}" for n in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in range(5):
                seen = pool.map(lambda name: site.get("/meet", site.issuer.token(name)).body.decode(), names)
                expect([name.strip('"') for name in seen] == names, seen)

    @pytest.mark.threat(230)
    def test_the_keys_are_fetched_once_and_not_for_every_request(self, fresh_site: Site) -> None:
        for _ in range(5):
            expect(fresh_site.get("/read", fresh_site.issuer.token()).status == 200, None)
        fetched = [path for path, _ in fresh_site.issuer.requests if path == "/.well-known/jwks.json"]
        expect(len(fetched) == 1, fetched)

    @pytest.mark.threat(227)
    def test_the_callee_gets_a_token_of_its_own_and_never_the_callers(self, site: Site) -> None:
        token = site.issuer.token()
        answer = site.get("/authors", token)
        expect((answer.status, answer.json()) == (200, [{"user_id": "ada"}]), answer)
        sent = site.users.requests[-1][1]["authorization"]
        expect(sent != f"Bearer {token}", sent)
        expect(decoded(sent.split(".")[1])["aud"] == "users", sent)

    def test_a_denied_exchange_is_a_problem_of_the_gateway_and_not_of_the_caller(
        self, fresh_site: Site
    ) -> None:
        fresh_site.issuer.denial = Reply(400, {"error": "invalid_target"})
        answer = fresh_site.get("/authors", fresh_site.issuer.token())
        expect(answer.status == 502, answer)
        expect("www-authenticate" not in answer.headers, answer)
        expect_problem(answer)

    def test_a_token_endpoint_that_fails_is_unavailable(self, fresh_site: Site) -> None:
        fresh_site.issuer.denial = Reply(500, {})
        answer = fresh_site.get("/authors", fresh_site.issuer.token())
        expect(answer.status == 503, answer)
        expect_problem(answer)

    def test_a_callee_that_is_down_is_a_clear_problem(self, fresh_site: Site) -> None:
        fresh_site.users.close()
        answer = fresh_site.get("/authors", fresh_site.issuer.token())
        expect(answer.status == 502, answer)
        expect_problem(answer)

    def test_a_callee_that_does_not_answer_is_given_up(self, fresh_site: Site) -> None:
        asleep = threading.Event()
        fresh_site.users.routes["/users"] = lambda *_: Reply(200, [asleep.wait(GUARD)])
        try:
            answer = fresh_site.get("/authors", fresh_site.issuer.token())
        finally:
            asleep.set()
        expect(answer.status == 504, answer)
        expect_problem(answer)

    def test_a_callee_that_breaks_is_a_clear_problem(self, fresh_site: Site) -> None:
        fresh_site.users.routes["/users"] = lambda *_: Reply(500, {})
        answer = fresh_site.get("/authors", fresh_site.issuer.token())
        expect(answer.status == 502, answer)
        expect_problem(answer)

    def test_without_the_issuers_keys_the_answer_is_503(self, fresh_site: Site) -> None:
        del fresh_site.issuer.routes["/.well-known/jwks.json"]
        down = fresh_site.get("/read", fresh_site.issuer.token())
        expect(down.status == 503, down)
        expect("www-authenticate" not in down.headers, down)
        expect_problem(down)

    def test_where_a_token_is_optional_nobody_and_somebody_come_in(self, site: Site) -> None:
        nobody, somebody = site.get("/optional"), site.get("/optional", site.issuer.token())
        expect((nobody.status, nobody.body.strip(b'"')) == (200, b"nobody"), nobody)
        expect((somebody.status, somebody.body.strip(b'"')) == (200, b"john_doe"), somebody)
        other_scheme = site.get("/optional", authorization=["Basic dXNlcjpwYXNz"])
        expect(other_scheme.body.strip(b'"') == b"nobody", other_scheme)

    @pytest.mark.threat(233)
    @pytest.mark.parametrize("kind", sorted(REFUSED))
    def test_where_a_token_is_optional_a_bad_one_is_refused_all_the_same(self, site: Site, kind: str) -> None:
        answer = site.get("/optional", REFUSED[kind](site.issuer))
        expect(answer.status == 401, answer)
        expect_problem(answer)

    def test_where_a_token_is_optional_one_without_the_scope_is_refused(self, site: Site) -> None:
        expect(site.get("/optional", site.issuer.token(scope={"posts:write"})).status == 403, None)
        expect(site.get("/optional", authorization=["Bearer "]).status == 400, None)

    def test_of_several_audiences_an_endpoint_can_take_one(self, site: Site) -> None:
        token = site.issuer.token(audience="drafts")
        expect(site.get("/drafts", token).status == 200, None)
        expect(site.get("/read", token).status == 200, None)
        answer = site.get("/drafts", site.issuer.token())
        expect((answer.status, answer.json()["code"]) == (401, "token_audience_mismatch"), answer)
        expect_problem(answer)

    def test_metadata_says_whose_tokens_and_which_scopes_it_takes(self, site: Site) -> None:
        answer = site.get(METADATA_PATH)
        expect(answer.status == 200, answer)
        expect(answer.headers["content-type"].split(";")[0] == "application/json", answer)
        expect(
            answer.json()
            == {
                "resource": RESOURCE,
                "authorization_servers": [site.issuer.url],
                "scopes_supported": ["posts:read"],
                "bearer_methods_supported": ["header"],
            },
            answer,
        )

    def test_a_challenge_says_where_the_metadata_is(self, site: Site) -> None:
        for answer in (site.get("/read"), site.get("/read", "not.atokenatall.butthree")):
            wanted = f'resource_metadata="{RESOURCE}{METADATA_PATH}"'
            expect(wanted in answer.headers["www-authenticate"], answer)
