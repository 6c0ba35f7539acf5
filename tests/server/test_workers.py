"""`watchword serve --workers N`: several real processes that are one service to everybody outside."""

import contextlib
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlencode

import pytest

from watchword.authority.client_assertion import ASSERTION_TYPE
from watchword.client.authentication import KeyAuthentication
from watchword.clock import SYSTEM_CLOCK
from watchword.tokens.private_key import PrivateKey

from .processes import Pinned, alive, children, pinned_to_each, stopped, until
from .test_metrics import metrics
from .test_service_manager import manager, told
from .test_tls import CA, presented

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")

FREE = {"RATE_PER_CLIENT": "0", "RATE_PER_ADDRESS": "0"}


def database(served) -> sqlite3.Connection:
    return sqlite3.connect(served.folder / "watchword-data" / "watchword.db", isolation_level=None)


def events(served, kind: str) -> list[tuple[str, str]]:
    with contextlib.closing(database(served)) as reading:
        return reading.execute(
            "SELECT writer, request_id FROM audit_event WHERE type = ? ORDER BY sequence", (kind,)
        ).fetchall()


def test_every_worker_answers_and_is_a_writer_of_its_own(start):
    served = start(WORKERS="3")
    keeper, *workers = children(served.process.pid)
    assert len(workers) == 3
    with pinned_to_each(served) as connections:
        ids = [connection.token().headers["x-request-id"] for connection in connections]
        assert all(connection.get("/health/ready").status == 200 for connection in connections)
        sets = {connection.get("/.well-known/jwks.json").body for connection in connections}
    assert len(sets) == 1
    issued = events(served, "token.issued")
    assert [request_id for _, request_id in issued] == ids
    assert len({writer for writer, _ in issued}) == 3
    prepared = {writer for writer, _ in events(served, "key.prepared")}
    assert len(prepared) == 1
    assert not prepared & {writer for writer, _ in issued}
    assert served.stop() == 0
    assert not any(map(alive, (keeper, *workers)))


def test_writers_keep_their_names_over_a_restart_and_over_another_number_of_workers(start):
    names = []
    for workers in ("2", "1", "2"):
        served = start(WORKERS=workers)
        with contextlib.ExitStack() as stack:
            if workers == "1":
                assert served.token().status == 200
            else:
                for connection in stack.enter_context(pinned_to_each(served)):
                    assert connection.token().status == 200
        assert served.stop() == 0
        names.append(sorted({writer for writer, _ in events(served, "token.issued")}))
    two, three, again = names
    assert len(two) == 2
    assert again == three == sorted([*two, two[0].rpartition(".")[0]])


@pytest.mark.threat(96)
def test_an_assertion_that_both_workers_get_at_once_works_once(start, tmp_path):
    key = PrivateKey.generate("ES256")
    jwk = ", ".join(f'{name} = "{value}"' for name, value in key.public_jwk().items())
    served = start(WORKERS="2", TRUST="", **FREE)  # it writes the document that we change
    assert served.stop() == 0
    secret = hashlib.sha256(served.secrets["posts"].encode()).hexdigest()
    trust = (tmp_path / "trust.toml").read_text()
    trust = trust.replace(f'secret_sha256 = ["{secret}"]', f"jwks = {{ keys = [{{ {jwk} }}] }}")
    (tmp_path / "keyed.toml").write_text(trust)
    served = start(WORKERS="2", TRUST="keyed.toml", **FREE)
    authentication = KeyAuthentication("posts", key)
    with pinned_to_each(served) as connections:
        for _ in range(20):
            form = {"grant_type": "client_credentials", "audience": "users"}
            form["client_assertion_type"] = ASSERTION_TYPE
            form["client_assertion"] = authentication.assertion(served.issuer, SYSTEM_CLOCK.now())
            body = urlencode(form).encode()
            begin = threading.Barrier(2)
            statuses: list[int] = []

            def ask(connection: Pinned, body=body, begin=begin, statuses=statuses) -> None:
                begin.wait(20)
                statuses.append(connection.post("/token", body).status)

            threads = [threading.Thread(target=ask, args=(connection,)) for connection in connections]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
            assert sorted(statuses) == [200, 401]


def test_a_worker_that_is_killed_is_replaced_and_the_other_goes_on(start):
    served = start(WORKERS="2", **FREE)
    keeper, first, second = children(served.process.pid)
    answered: list[str] = []
    over = threading.Event()

    def client() -> None:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(Pinned(served, second))
            while not over.is_set():
                answer = connection.token()
                assert answer.status == 200
                answered.append(answer.headers["x-request-id"])

    thread = threading.Thread(target=client)
    thread.start()
    until(lambda: len(answered) > 10)
    with Pinned(served, first) as doomed:
        kept = doomed.token().headers["x-request-id"]
        before = metrics(served)
        os.kill(first, signal.SIGKILL)
    replaced = until(
        lambda: first not in (found := children(served.process.pid)) and len(found) == 3 and found
    )
    assert replaced[:2] == [keeper, second]
    reached = len(answered)
    until(lambda: len(answered) > reached + 10)
    over.set()
    thread.join(20)
    until(lambda: metrics(served).get(("watchword_workers", "")) == 2)
    with Pinned(served, replaced[2]) as anew:
        assert anew.token().status == 200
    after = metrics(served)
    counted = {name for name in before if name[0].endswith(("_total", "_count", "_bucket"))}
    assert counted
    assert all(after[name] >= before[name] for name in counted)
    assert after["watchword_process_replacements_total", ""] == 1
    issued = ("watchword_tokens_issued_total", 'grant_type="client_credentials"')
    # what the dead one counted stays counted, and what was answered is there
    assert after[issued] == len(answered) + 2
    assert {kept, *answered} <= {request_id for _, request_id in events(served, "token.issued")}
    assert served.stop() == 0


def test_the_keeper_is_replaced_too_and_goes_on_where_it_was(start):
    served = start(WORKERS="2", **FREE)
    keeper = children(served.process.pid)[0]
    assert metrics(served)["watchword_keys", 'state="active"'] == 1
    (served.folder / "trust.toml").write_text("this is no trust document")  # it was applied, it counts
    os.kill(keeper, signal.SIGKILL)
    assert served.token().status == 200
    until(lambda: keeper not in (found := children(served.process.pid)) and len(found) == 3)
    assert metrics(served)["watchword_keys", 'state="active"'] == 1
    assert served.token().status == 200
    assert served.stop() == 0


@pytest.mark.threat(194)
@pytest.mark.parametrize("everybody", [False, True], ids=["the first process", "every process at once"])
def test_sigterm_lets_every_worker_finish_what_it_accepted(start, everybody):
    served = start(WORKERS="2")
    body = b"grant_type=client_credentials&audience=users"
    head = f"POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: {served.basic('posts')}\r\n"
    head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    with pinned_to_each(served) as connections, pinned_to_each(served) as watchers:
        for pinned in connections:
            pinned.connection.sendall(head.encode() + body[:10])
        served.process.send_signal(signal.SIGTERM)
        if everybody:  # as systemd does with a control group
            for pid in children(served.process.pid):
                with contextlib.suppress(ProcessLookupError):  # the keeper has nothing to finish
                    os.kill(pid, signal.SIGTERM)
        for watcher in watchers:
            answer = until(lambda w=watcher: (a := w.get("/health/ready")).status == 503 and a)
            assert answer.headers["connection"] == "close"
        for pinned in connections:
            pinned.connection.sendall(body[10:])
            last = served.read_reply(pinned.connection)
            assert (last.status, last.headers["connection"]) == (200, "close")
    assert served.process.wait(30) == 0
    assert events(served, "token.issued")


def test_a_second_signal_does_not_wait_for_anybody(start):
    served = start(WORKERS="2")
    with pinned_to_each(served) as connections:
        for pinned in connections:
            pinned.connection.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        with pinned_to_each(served) as watchers:
            served.process.send_signal(signal.SIGINT)
            for watcher in watchers:
                until(lambda w=watcher: w.get("/health/ready").status == 503)
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(8) == 0


def test_workers_end_with_their_supervisor_and_the_folder_is_free(start):
    served = start(WORKERS="2")
    family = children(served.process.pid)
    with stopped(family[1]):  # also one whose event loop hangs
        served.process.kill()
        served.process.wait(20)
        until(lambda: not any(map(alive, family)))
    again = start(WORKERS="2")
    assert again.token().status == 200


@pytest.mark.threat(157)
def test_no_process_of_it_is_dumped_or_looked_into(start):
    served = start(WORKERS="2")
    for pid in (served.process.pid, *children(served.process.pid)):
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
        assert core[4:6] == ["0", "0"]
        # PR_GET_DUMPABLE of another process stands in no file; what it decides does
        assert Path(f"/proc/{pid}/environ").stat().st_uid == 0
        status = Path(f"/proc/{pid}/status").read_text()
        assert "CoreDumping:\t0" in status


def refused(folder: Path, **settings: str) -> tuple[int, list[str]]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
    environ |= {"WATCHWORD_ISSUER": "https://tokens.example", "WATCHWORD_LISTEN": "127.0.0.1:0"}
    environ |= {f"WATCHWORD_{name}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "watchword", "serve", "--workers", "2"],
        check=False, cwd=folder, env=environ, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()


def test_what_keeps_a_process_from_starting_ends_the_whole_and_is_told_in_words(tmp_path):
    (tmp_path / "trust.toml").write_text("version = 1\ncolour = 1\n[services.users]\nscope = 1\n")
    code, lines = refused(tmp_path, TRUST="trust.toml")
    assert code == 2
    assert len(lines) >= 3
    assert any("services.users" in line for line in lines)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("nothing")
        (tmp_path / name).chmod(0o600)
    code, (line,) = refused(tmp_path, TLS_CERT="cert.pem", TLS_KEY="key.pem")
    assert code == 2
    assert line.startswith("watchword: WATCHWORD_TLS_CERT: expected a certificate chain")
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / "keyring.json").write_text("{")
    (tmp_path / "keys" / "keyring.json").chmod(0o600)
    code, (line,) = refused(tmp_path, KEYS="files:keys")
    assert code == 1
    assert "keyring.json is damaged" in line


def test_keys_in_memory_are_not_for_several_processes(tmp_path):
    code, (line,) = refused(tmp_path, KEYS="memory:")
    assert code == 2
    assert line.startswith("watchword: WATCHWORD_WORKERS: expected 1 with KEYS in memory")


@pytest.mark.threat(179)
def test_while_another_process_holds_the_database_all_workers_wait_a_bounded_time_and_then_say_503(start):
    served = start(WORKERS="2", **FREE)
    with pinned_to_each(served) as connections, contextlib.closing(database(served)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        answers = []
        threads = [
            threading.Thread(target=lambda c=connection: answers.append(c.token()))
            for connection in connections
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [answer.status for answer in answers] == [503, 503]
        assert all(answer.json() == {"error": "temporarily_unavailable"} for answer in answers)
        assert all(answer.headers["retry-after"] for answer in answers)
        stranger.execute("COMMIT")
        assert [connection.token().status for connection in connections] == [200, 200]
    assert not any("locked" in str(line.get("exception", "")) for line in served.log())


def introspected(connection: Pinned, token: str) -> bool:
    reply = connection.post("/introspect", f"token={token}".encode(), connection.served.basic("users"))
    assert reply.status == 200
    return reply.json()["active"]


@pytest.mark.threat(102, 170)
def test_every_worker_refuses_a_revoked_key_and_a_disabled_client_without_being_told(start):
    served = start(WORKERS="2", KEY_CACHED_FOR="0s", CLOCK_SKEW="0s", **FREE)
    with pinned_to_each(served) as connections:
        token = connections[0].token().json()["access_token"]
        assert all(introspected(connection, token) for connection in connections)
        keys = served.operation("keys.show")["keys"]
        (leaked,) = [key["kid"] for key in keys if key["state"] == "active"]
        told = served.operation("keys.revoke", kid=leaked, confirm=leaked, unready="activate_unpublished")
        for connection in connections:
            # at most `SEEN_WITHIN`, a second, on a machine that has time
            until(lambda asked=connection: not introspected(asked, token))
            assert leaked not in connection.get("/.well-known/jwks.json").body.decode()
            assert told["signs"] in connection.get("/.well-known/jwks.json").body.decode()
        fresh = connections[0].token().json()["access_token"]
        assert all(introspected(connection, fresh) for connection in connections)
        served.operation("clients.disable", client_id="posts", confirm="posts")
        for connection in connections:
            until(lambda asked=connection: asked.token().status == 401)
            assert not introspected(connection, fresh)


def test_systemd_hears_of_the_whole_from_the_first_process_alone(start, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    with manager(str(tmp_path / "notify")) as listening:
        served = start(WORKERS="2")
        ready = told(listening)
        assert ready["READY"] == "1"
        assert served.ready["address"] in ready["STATUS"]
        assert [told(listening) for _ in range(3)] == [{"WATCHDOG": "1"}] * 3
        with stopped(served.process.pid):  # who watches over the others does not hang unnoticed
            listening.settimeout(1)
            with pytest.raises(TimeoutError):
                list(iter(lambda: told(listening), None))
        listening.settimeout(20)
        served.process.send_signal(signal.SIGTERM)
        until(lambda: told(listening).get("STOPPING") == "1")
        assert served.process.wait(30) == 0


def test_a_new_certificate_is_taken_up_by_every_worker(start, tmp_path):
    (tmp_path / "tls").mkdir()
    ca = CA(tmp_path / "tls")
    served = start(WORKERS="2", **ca.settings)
    workers = children(served.process.pid)[1:]

    def serials() -> set[int]:
        found = set()
        for worker in workers:
            with stopped(*(pid for pid in workers if pid != worker)):
                found.add(presented(served, ca))
        return found

    assert serials() == {ca.serial}
    ca.issue()
    assert serials() == {ca.serial}
