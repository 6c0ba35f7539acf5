"""The how-to of watching: its applications run, and what its tables name is what there is."""

import importlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from watchword import telemetry
from watchword.cli import main
from watchword.telemetry.meter import ALARMS, FETCHES, REQUESTS
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.tokens.private_key import PrivateKey

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "watch-a-service.md").read_text()
FILES = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def users() -> Iterator[Peer]:
    users = Peer(Reply(200, [{"user_id": "john_doe"}]))
    with users.running():
        yield users


@pytest.fixture
def issuer(users: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[IssuingPeer]:
    issuer = IssuingPeer()
    monkeypatch.chdir(tmp_path)
    Path("posts.key").touch(0o600)
    Path("posts.key").write_bytes(PrivateKey.generate("ES256").insecure_private_pem())
    for name, value in {
        "ISSUER": issuer.url,
        "AUDIENCE": "posts",
        "CLIENT_KEY_FILE": "posts.key",
        "URL_USERS": users.url,
    }.items():
        monkeypatch.setenv(f"WATCHWORD_{name}", value)
    with issuer.running():
        yield issuer


def module(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(FILES[name], name, "exec"), names)
    return names


def bearer(issuer: IssuingPeer, **claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {issuer.token(**claims)}"}


def test_flask(issuer: IssuingPeer) -> None:
    page = module("watched_flask.py")
    client = page["app"].test_client()
    assert client.get("/posts").status_code == 401
    assert client.get("/posts", headers=bearer(issuer)).get_json() == [{"user_id": "john_doe"}]
    answer = client.get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert 'watchword_tokens_refused_total{code="token_missing"} 1' in answer.get_data(as_text=True)
    health = client.get("/health")
    assert (health.status_code, health.get_json()["ok"]) == (200, True)
    assert health.get_json()["token_endpoint"]["last_outcome"] == "granted"
    page["auth"].close()


def test_fastapi_and_its_observer(issuer: IssuingPeer) -> None:
    page = module("watched_fastapi.py")
    with TestClient(page["app"]) as client:
        assert client.get("/posts").status_code == 401
        assert client.get("/posts", headers=bearer(issuer)).json() == [{"user_id": "john_doe"}]
        assert "watchword_tokens_accepted_total" in client.get("/metrics").text
        assert client.get("/metrics").headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert client.get("/health").json()["issuers"][issuer.url]["state"] == "ready"
    sent = " ".join(page["sent"])
    assert "watchword.token.refused:1|c" in sent
    assert re.search(r"watchword\.exchange\.users:\d+\|ms", sent)


def test_a_log_record_is_json_with_its_facts(issuer: IssuingPeer, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "watchword")
    client = module("watched_flask.py")["app"].test_client()
    assert client.get("/posts", headers=bearer(issuer, scope={"posts:write"})).status_code == 403
    line = json.loads(module("json_log.py")["JSONFormatter"]().format(caplog.records[-1]))
    assert (line["name"], line["code"], line["client_id"]) == ("token.refused", "insufficient_scope", "web")
    assert line["message"].startswith("refused insufficient_scope: expected scope posts:read")


def test_the_tables_name_every_metric_event_and_value(issuer: IssuingPeer) -> None:
    page = module("watched_flask.py")
    text = page["auth"].metrics().prometheus().decode()
    page["auth"].close()
    named = set(re.findall(r"^\| `(watchword_\w+)` \|", PAGE, re.MULTILINE))
    assert named == set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    for value in (*ALARMS, *FETCHES, *REQUESTS):
        assert f"`{value}`" in PAGE
    events = re.findall(r"^\| `([A-Z]\w+)` \| `([\w.]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert {(kind, name) for kind, name, _ in events} == {
        (kind.__name__, kind.name)
        for kind in vars(importlib.import_module("watchword.telemetry.events"))["Event"].__args__
    }
    for kind, _, held in events:
        assert re.findall(r"`(\w+)`", held) == [one.name for one in fields(getattr(telemetry, kind))]


def test_the_alerts_ask_for_metrics_and_values_that_there_are(issuer: IssuingPeer) -> None:
    alerts = FILES["alerts.yml"]
    named = set(re.findall(r"^\| `(watchword_\w+)` \|", PAGE, re.MULTILINE))
    assert set(re.findall(r"watchword_\w+", alerts)) <= named
    values = {
        value for text in re.findall(r'(?:alarm|outcome)=~?"([^"]+)"', alerts) for value in text.split("|")
    }
    assert values <= {*ALARMS, *REQUESTS}


def test_doctor_does_what_the_page_says(issuer: IssuingPeer, capsys: Any) -> None:
    assert main(["doctor", "--service"]) == 0
    assert "users: posts may call it as itself" in capsys.readouterr().out
