"""The main job over real processes: users-service, posts-service, token service, each with its own key."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
import requests

from watchword.cli.demo.exchange import exchange_form
from watchword.cli.demo.records import Records
from watchword.cli.demo.story import EDITOR, READER
from watchword.cli.demo.world import Ports, World, example_folder

pytestmark = pytest.mark.xdist_group("demo")
GUARD = 30


class Running(NamedTuple):
    """The three processes and what they wrote down, asked by `requests` and PyJWT like any other client."""

    world: World
    records: Records

    def sign_in(self, who: tuple[str, str] = READER, audience: str = "posts") -> str:
        answer = requests.post(
            f"{self.world.users_url}/login",
            json={"user_id": who[0], "password": who[1], "audience": audience},
            timeout=GUARD,
        )
        answer.raise_for_status()
        token: str = answer.json()["access_token"]
        return token

    def posts(self, path: str, token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{self.world.posts_url}{path}", headers=headers, timeout=GUARD)

    def exchange(self, client: str, token: str, scope: str) -> requests.Response:
        form = exchange_form(
            client, self.world.client_key(client), issuer=self.world.issuer, subject_token=token, scope=scope
        )
        return requests.post(f"{self.world.issuer}/token", data=form, timeout=GUARD)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with World(Ports(0, 0, 0)) as world:
        yield Running(world, Records(world))


@pytest.fixture
def of_its_own() -> Iterator[Running]:
    with World(Ports(0, 0, 0)) as world:
        yield Running(world, Records(world))


def verified(token: str, issuer: str, audience: str) -> dict[str, Any]:
    """Verify with PyJWT and the issuer's published key set."""
    keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json", timeout=GUARD)
    claims: dict[str, Any] = jwt.decode(
        token, keys.get_signing_key_from_jwt(token), algorithms=["ES256"], audience=audience, issuer=issuer
    )
    return claims


def test_01_users_service_signs_people_in_with_its_own_key(running: Running) -> None:
    claims = verified(running.sign_in(), running.world.users_url, "posts")
    assert claims["sub"] == "john_doe"
    assert claims["roles"] == ["reader"]
    assert not {"name", "email", "password", "username"} & claims.keys()


def test_02_a_wrong_password_and_an_unknown_name_get_one_answer(running: Running) -> None:
    answers = [
        requests.post(
            f"{running.world.users_url}/login", json={"user_id": name, "password": "wrong"}, timeout=GUARD
        )
        for name in ("john_doe", "nobody", "ada_bright")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.threat(227)
def test_03_posts_acts_for_john_at_users_with_a_token_of_its_own(running: Running) -> None:
    token = running.sign_in()
    mine = verified(token, running.world.users_url, "posts")
    answer = running.posts("/posts?size=5", token)
    assert answer.status_code == 200
    assert all(post["author"]["user_id"] == post["user_id"] for post in answer.json())
    header, claims = running.records.last_arrival()
    published = requests.get(f"{running.world.issuer}/.well-known/jwks.json", timeout=GUARD).json()["keys"]
    assert header["kid"] in {key["kid"] for key in published}
    assert claims["iss"] == running.world.issuer
    assert claims["sub"] == "people|john_doe"
    assert claims["aud"] == "users"
    assert claims["scope"] == "users:read"
    assert claims["client_id"] == "posts"
    assert claims["act"] == {"sub": "service|posts"}
    assert claims["txn"] == mine["txn"]
    assert claims["exp"] <= mine["exp"]
    assert claims["exp"] - claims["iat"] <= 120


def test_04_thirty_seven_posts_have_thirty_seven_authors_and_cost_one_exchange(running: Running) -> None:
    token = running.sign_in()
    before = running.records.exchanges()
    for _ in range(3):
        posts = running.posts("/posts?size=100", token).json()
        assert len(posts) == 37
        assert len({post["author"]["name"] for post in posts}) == 37
    assert running.records.exchanges() == before + 1


def test_05_two_sessions_of_one_person_are_exchanged_each_for_itself(running: Running) -> None:
    before = running.records.exchanges()
    for token in (running.sign_in(), running.sign_in()):
        assert running.posts("/posts", token).status_code == 200
    assert running.records.exchanges() == before + 2


def test_06_a_role_decides_who_sees_drafts(running: Running) -> None:
    refused = running.posts("/drafts", running.sign_in())
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]
    assert len(running.posts("/drafts", running.sign_in(EDITOR)).json()) == 2


@pytest.mark.threat(227)
def test_07_a_forwarded_token_is_refused_by_users(running: Running) -> None:
    token = running.sign_in()
    answer = requests.get(
        f"{running.world.users_url}/users/john_doe",
        headers={"Authorization": f"Bearer {token}"},
        timeout=GUARD,
    )
    assert answer.status_code == 401


def test_08_an_exchanged_token_opens_one_person_too(running: Running) -> None:
    answer = running.exchange("posts", running.sign_in(), "users:read")
    assert answer.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    users = running.world.users_url
    assert requests.get(f"{users}/users/ada_bright", headers=headers, timeout=GUARD).json() == {
        "user_id": "ada_bright",
        "name": "Ada Bright",
    }
    assert requests.get(f"{users}/users/nobody", headers=headers, timeout=GUARD).status_code == 404


def test_09_a_scope_that_users_never_allowed_is_refused_and_the_rule_is_named(running: Running) -> None:
    answer = running.exchange("posts", running.sign_in(), "users:write")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert "services.users.allow[0]" in running.records.last_refusal()


def test_10_a_service_without_a_rule_is_refused(running: Running) -> None:
    answer = running.exchange("reports", running.sign_in(audience="reports"), "users:read")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")
    assert "no rule of users lets reports call it" in running.records.last_refusal()


def test_11_a_token_of_john_for_posts_is_not_reports_to_exchange(running: Running) -> None:
    answer = running.exchange("reports", running.sign_in(), "users:read")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_12_no_token_stands_in_any_log_or_in_the_audit(running: Running) -> None:
    token = running.sign_in()
    running.posts("/posts", token)
    secret = token.split(".")[2]
    written = [path for path in running.world.folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in written)
    assert [path.name for path in written if secret.encode() in path.read_bytes()] == []


def test_13_without_the_rule_the_exchange_is_refused_by_name(tmp_path: Path) -> None:
    example = tmp_path / "users_posts"
    shutil.copytree(example_folder(), example)
    text = (example / "trust.toml").read_text()
    start = text.index("[[services.users.allow]]")
    (example / "trust.toml").write_text(text[:start] + text[text.index("[services.posts]") :])
    with World(Ports(0, 0, 0), example=example) as world:
        running = Running(world, Records(world))
        answer = running.posts("/posts", running.sign_in())
        assert answer.status_code == 502
        assert answer.json()["code"] == "exchange_denied"
        assert "no rule of users lets posts call it" in running.records.last_refusal()


def test_14_users_service_dies_and_posts_says_so_in_bounded_time(of_its_own: Running) -> None:
    token = of_its_own.sign_in()
    assert of_its_own.posts("/posts", token).status_code == 200
    pid = of_its_own.world.users.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    answer = of_its_own.posts("/posts", token)  # bounded by the guard of this request
    assert answer.status_code == 502
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "callee_unreachable"
    of_its_own.world.users.stop()
    of_its_own.world.users.start()
    of_its_own.world.users.wait_until_healthy()
    assert of_its_own.posts("/posts", token).status_code == 200


def test_15_without_the_token_service_known_callers_go_on_and_new_ones_are_told(of_its_own: Running) -> None:
    known = of_its_own.sign_in()
    assert of_its_own.posts("/posts", known).status_code == 200
    of_its_own.world.tokens.stop()
    assert of_its_own.posts("/posts", known).status_code == 200
    told = of_its_own.posts("/posts", of_its_own.sign_in(EDITOR))
    assert told.status_code == 503
    assert told.json()["code"] == "token_endpoint_unreachable"
    assert int(told.headers["Retry-After"]) > 0
