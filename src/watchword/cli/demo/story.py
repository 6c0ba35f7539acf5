"""The story, point by point; each step says what was expected and whether it was so."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from watchword.cli.demo import forgeries
from watchword.cli.demo.call import Answer, call, unverified_parts
from watchword.cli.demo.exchange import exchange_form
from watchword.cli.demo.records import Records
from watchword.cli.demo.screen import Screen, actors
from watchword.cli.demo.world import KEY_ACTIVE_FOR, KEY_CACHED_FOR, World
from watchword.clock import SYSTEM_CLOCK
from watchword.tokens.private_key import PrivateKey

READER = ("john_doe", "a-quiet-harbour-at-dawn")
EDITOR = ("jane_doe", "seven-lamps-on-the-pier")
MOST_READS = 20_000
PATIENCE = 10.0
"""Seconds within which a service must say that another one is down."""


class NotSo(Exception):
    """What a step claims is not what was seen."""


@dataclass(slots=True)
class Story:
    """The steps, in order, over running processes."""

    world: World
    screen: Screen
    records: Records
    john: str = ""
    """John's token, once he has signed in."""
    jane: str = ""

    def tell(self) -> int:
        """Tell the whole story and return how many steps did not hold."""
        began = SYSTEM_CLOCK.monotonic()
        steps = list(self._steps())
        failed = 0
        for number, (title, step) in enumerate(steps, start=1):
            self.screen.title(number, title)
            try:
                verdict = step()
            except NotSo as error:
                failed += 1
                self.screen.verdict(held=False, text=str(error))
            except (OSError, LookupError, TypeError, ValueError) as error:
                failed += 1
                self.screen.verdict(held=False, text=f"the step broke: {type(error).__name__}: {error}")
            else:
                self.screen.verdict(held=True, text=verdict)
        self.screen.end(steps=len(steps), failed=failed, seconds=SYSTEM_CLOCK.monotonic() - began)
        return failed

    def _steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "John signs in at users-service, which signs his token with its own key", self._sign_in
        yield "John reads posts; posts-service asks users-service for the authors, on his behalf", self._read
        yield "One batch call and one exchange, however long the page is", self._one_exchange
        yield "A role decides: John may not see drafts, an editor may", self._drafts
        yield "Keys change: both issuers sign with new ones while John goes on reading", self._key_change
        yield "Refused: a request without a token", self._no_token
        yield "Refused: a token that has expired", self._expired
        yield "Refused: a token that was tampered with", self._tampered
        yield "Refused: a token that says it needs no signature (alg none)", self._unsigned
        yield "Refused: a token signed by HS256, keyed with the public key", self._keyed_with_public_key
        yield "Refused: a token that is meant for another audience", self._other_audience
        yield "Refused: a stranger's token", self._stranger
        yield (
            "Refused: posts-service asks for a scope that users-service never allowed",
            self._scope_not_allowed,
        )
        yield "Refused: a service for which nobody has written a rule", self._no_rule
        yield "users-service stops: posts-service says so, clearly and soon", self._callee_down
        yield "users-service is back, and John goes on reading with the same token", self._callee_back

    # --- what works --------------------------------------------------------------------------

    def _sign_in(self) -> str:
        self.john = self._token_of(READER)
        self.jane = self._token_of(EDITOR)
        self._show("John's token", self.john)
        _, claims = unverified_parts(self.john)
        hold(
            claims["iss"] == self.world.users_url and claims["aud"] == "posts",
            "the token is not users-service's own",
        )
        return "users-service issued it; the token service has no part in a sign-in"

    def _read(self) -> str:
        posts = self._ok(self._posts("/posts?size=3", self.john))
        for post in posts:
            self.screen.say(f"{post['title']} - {post['author']['name']}")
        header, claims = self.records.last_arrival()
        self.screen.token("The token that users-service got from posts-service", header, claims)
        _, mine = unverified_parts(self.john)
        hold(claims["iss"] == self.world.issuer, "it was not issued by the token service")
        hold(
            claims["aud"] == "users" and claims["scope"] == "users:read",
            "it is not narrowed to users, users:read",
        )
        hold(claims["sub"] == f"people|{READER[0]}", "it does not speak of John")
        hold(actors(claims) == ["service|posts"], "it does not say that posts-service acts")
        hold(claims["txn"] == mine["txn"], "it lost the story of John's token")
        hold(claims["exp"] <= mine["exp"], "it outlives John's token")
        return "posts-service acts for John, at users-service only; the story (txn) is the one of his sign-in"

    def _one_exchange(self) -> str:
        posts = self._ok(self._posts("/posts?size=100", self.john))
        authors = {post["author"]["user_id"] for post in posts}
        exchanges = self.records.exchanges()
        hold(
            len(posts) == len(authors) == 37,
            f"expected 37 posts with 37 authors, found {len(posts)} with {len(authors)}",
        )
        hold(exchanges == 1, f"expected one exchange in the audit, found {exchanges}")
        return "37 posts, 37 authors, one exchange in the audit of the token service"

    def _drafts(self) -> str:
        refused = self._posts("/drafts", self.john)
        self._show_refusal(refused)
        hold(refused.status == 403, f"John was not refused, the status was {refused.status}")
        drafts = self._ok(self._posts("/drafts", self.jane))
        for draft in drafts:
            self.screen.say(f"Jane sees: {draft['title']} - {draft['author']['name']}")
        return f"403 for John, {len(drafts)} drafts for Jane, who is an editor"

    def _key_change(self) -> str:
        self.screen.say(
            f"Here a key signs for {KEY_ACTIVE_FOR} s and is published {KEY_CACHED_FOR} s before it does;"
            " in real life 30 days and an hour."
        )
        before = self._signing_keys()
        reads = sign_ins = 0
        after = before
        while after[0] == before[0] or after[1] == before[1]:
            hold(reads < MOST_READS, f"no key changed in {reads} reads")
            self._ok(self._posts("/posts?size=1", self.john))
            token = self._token_of(READER)
            self._ok(self._posts("/posts?size=1", token))
            reads, sign_ins = reads + 2, sign_ins + 1
            after = self._signing_keys()
        for issuer, old, new in zip(("the token service", "users-service"), before, after, strict=True):
            self.screen.say(f"{issuer} signed with {old[:8]}…, now with {new[:8]}…")
        self._ok(self._posts("/posts?size=1", self.john))
        return (
            f"{reads + 1} reads and {sign_ins} sign-ins, none refused; John's old token is as good as before"
        )

    def _signing_keys(self) -> tuple[str, str]:
        """Return the `kid`s by which the token service and users-service sign now: each names it first."""
        kids = [
            str(self._ok(call("GET", f"{url}/.well-known/jwks.json"))["keys"][0]["kid"])
            for url in (self.world.issuer, self.world.users_url)
        ]
        return kids[0], kids[1]

    # --- what is refused ---------------------------------------------------------------------

    def _no_token(self) -> str:
        return self._refused(None, reason="token_missing")

    def _expired(self) -> str:
        token = forgeries.expired(self.john, self.world.users_url, keys=self.world.users_keys)
        self._show("A token of users-service that John kept for too long", token)
        return self._refused(token, reason="token_expired")

    def _tampered(self) -> str:
        token = forgeries.tampered(self.john, sub=EDITOR[0], roles=["reader", "editor"])
        self._show("John's token, rewritten for Jane", token)
        return self._refused(token, reason="token_signature_invalid")

    def _unsigned(self) -> str:
        token = forgeries.unsigned(self.john)
        self._show("John's token without its signature", token)
        return self._refused(token, reason="token_algorithm_not_allowed")

    def _keyed_with_public_key(self) -> str:
        pem = call("GET", f"{self.world.users_url}/public-key").body
        token = forgeries.keyed_with_public_key(self.john, pem)
        self._show("John's token, signed with what anybody can read at /public-key", token)
        return self._refused(token, reason="token_algorithm_not_allowed")

    def _other_audience(self) -> str:
        token = self._token_of(READER, audience="reports")
        self._show("John's token for reports, presented to posts-service", token)
        verdict = self._refused(token, reason="token_audience_mismatch")
        forwarded = call("GET", f"{self.world.users_url}/users/{READER[0]}", token=self.john)
        hold(
            forwarded.status == 401,
            f"users-service took a forwarded token, the status was {forwarded.status}",
        )
        return f"{verdict}; and John's token for posts, forwarded to users-service, gets 401 there too"

    def _stranger(self) -> str:
        stranger = PrivateKey.generate()
        foreign = forgeries.signed_by(stranger, self.john, iss="http://127.0.0.1:1")
        self._show("A genuine token of somebody whom nobody trusts", foreign)
        self._refused(foreign, reason="token_issuer_not_trusted")
        pretending = forgeries.signed_by(stranger, self.john)
        self._show("The same stranger in the name of users-service", pretending)
        return self._refused(pretending, reason="token_key_unknown")

    def _scope_not_allowed(self) -> str:
        return self._denied(self.john, client="posts", scope="users:write", error="invalid_scope")

    def _no_rule(self) -> str:
        token = self._token_of(READER, audience="reports")
        return self._denied(token, client="reports", scope="users:read", error="invalid_target")

    # --- what breaks -------------------------------------------------------------------------

    def _callee_down(self) -> str:
        self.world.users.stop()
        began = SYSTEM_CLOCK.monotonic()
        answer = self._posts("/posts?size=3", self.john)
        seconds = SYSTEM_CLOCK.monotonic() - began
        self._show_refusal(answer)
        problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        hold(
            problem and answer.status in (502, 503, 504),
            f"expected a problem document, found {answer.status}",
        )
        hold(seconds < PATIENCE, f"it took {seconds:.1f} s")
        return f"{answer.status} with a problem document after {seconds:.1f} s"

    def _callee_back(self) -> str:
        self.world.users.start()
        self.world.users.wait_until_healthy()
        posts = self._ok(self._posts("/posts?size=3", self.john))
        return f"{len(posts)} posts with authors; nobody had to sign in again"

    # --- how -----------------------------------------------------------------------------------

    def _token_of(self, who: tuple[str, str], *, audience: str = "posts") -> str:
        sign_in = {"user_id": who[0], "password": who[1], "audience": audience}
        token: str = self._ok(call("POST", f"{self.world.users_url}/login", json=sign_in))["access_token"]
        return token

    def _posts(self, path: str, token: str | None) -> Answer:
        return call("GET", f"{self.world.posts_url}{path}", token=token)

    def _ok(self, answer: Answer) -> Any:
        if answer.status == 200:
            return answer.json()
        problem = answer.json()
        code = problem.get("code", "") if isinstance(problem, dict) else ""
        why = f"; the audit says why: {self.records.last_refusal()}" if code == "exchange_denied" else ""
        raise NotSo(f"expected 200, found {answer.status} {code}{why}")

    def _show(self, whose: str, token: str) -> None:
        self.screen.token(whose, *unverified_parts(token))

    def _show_refusal(self, answer: Answer) -> None:
        self.screen.say(f"answer: {answer.status} {json.dumps(answer.json())}")

    def _refused(self, token: str | None, *, reason: str) -> str:
        answer = self._posts("/posts", token)
        challenge = answer.headers.get("www-authenticate", "")
        self.screen.say(f"answer: {answer.status}, WWW-Authenticate: {challenge}")
        hold(answer.status == 401 and challenge.startswith("Bearer"), f"expected 401, found {answer.status}")
        told = self.records.reason_at_posts()
        hold(told.startswith(reason), f"expected the reason {reason}, found {told}")
        return told

    def _denied(self, token: str, *, client: str, scope: str, error: str) -> str:
        form = exchange_form(
            client, self.world.client_key(client), issuer=self.world.issuer, subject_token=token, scope=scope
        )
        self._show(f"John's token at {client}", token)
        self.screen.say(f"{client} asks, with its own key, to exchange it for users with scope {scope}")
        answer = call("POST", f"{self.world.issuer}/token", form=form)
        self._show_refusal(answer)
        hold(
            answer.status == 400 and answer.json().get("error") == error,
            f"expected {error}, found {answer.status}",
        )
        return f"{error}; the audit says why: {self.records.last_refusal()}"


def hold(claimed: bool, otherwise: str) -> None:
    """Raise `NotSo` unless what a step claims is so."""
    if not claimed:
        raise NotSo(otherwise)
