"""Metrics: what was counted is there, what comes from outside is not, and only the operator reads them."""

import contextlib
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.server import admin
from watchword.server.metrics import ENDPOINTS, Metrics, codes
from watchword.telemetry.exposition import BUCKETS, Counter, Gauge, Histogram, text

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)')


def read(page: str) -> dict[tuple[str, str], float]:
    """Every sample of a page by name and labels; each line must be of the format."""
    samples = {}
    for line in page.splitlines():
        if not re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line):
            name, labels, value = LINE.fullmatch(line).groups()
            assert (name, labels or "") not in samples
            samples[name, labels or ""] = float(value)
    return samples


def at_socket(served, path: Path | None = None):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path or served.folder / "watchword-data" / "admin.sock"))
        connection.sendall(GET)
        return served.read_reply(connection)


def metrics(served) -> dict[tuple[str, str], float]:
    return read(at_socket(served).body.decode())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_what_happened_is_counted(start):
    served = start()
    tokens = [served.token() for _ in range(3)]
    served.request("POST", "/token", form={}, Authorization=served.basic("posts", "guess"))
    served.request("POST", "/token", form={"grant_type": "x"}, Authorization=served.basic("posts"))
    served.request("GET", "/.well-known/jwks.json")
    served.request("GET", "/nothing")
    served.send(b"no request\r\n\r\n")
    answer = at_socket(served)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    found = read(answer.body.decode())
    assert found["watchword_requests_total", 'endpoint="token",status="2xx"'] == 3
    assert found["watchword_requests_total", 'endpoint="token",status="4xx"'] == 2
    assert found["watchword_requests_total", 'endpoint="jwks",status="2xx"'] == 1
    assert found["watchword_requests_total", 'endpoint="other",status="4xx"'] == 2
    assert found["watchword_refusals_total", 'endpoint="token",code="invalid_client"'] == 1
    assert found["watchword_refusals_total", 'endpoint="token",code="unsupported_grant_type"'] == 1
    assert found["watchword_tokens_issued_total", 'grant_type="client_credentials"'] == 3
    assert found["watchword_request_duration_seconds_count", 'endpoint="token"'] == 5
    assert found["watchword_store_wait_seconds_count", 'deed="record"'] == 4
    assert found["watchword_keys", 'state="active"'] == 1
    assert 0 <= found["watchword_active_key_age_seconds", ""] < 600
    (live,) = [value for (name, _), value in found.items() if name == "watchword_live_tokens" and value]
    assert live == len(tokens)


@pytest.mark.threat(207)
def test_nothing_that_a_request_says_becomes_a_label(start):
    served = start(RATE_PER_ADDRESS="0")
    for number in range(30):
        hostile = f'evil-{number}"}} 1\n'
        served.request("GET", f"/evil-{number}")
        served.request(f"EVIL{number}", "/token")
        form = {"grant_type": hostile, "audience": hostile, "scope": hostile, "client_id": hostile}
        served.request("POST", "/token", form=form, Authorization=served.basic("posts"))
        served.request("POST", "/token", form=form, Authorization=served.basic(f"evil-{number}", "x"))
        served.token(audience=f"evil-{number}", X_Request_Id=f"evil-{number}", User_Agent="evil")
    page = at_socket(served).body.decode()
    assert "evil" not in page.lower()
    before = read(page).keys()
    for number in range(30, 60):
        served.request("GET", f"/evil-{number}")
        served.token(audience=f"evil-{number}")
    assert metrics(served).keys() == before


@pytest.mark.threat(208)
def test_the_public_address_has_no_metrics(server):
    assert server.request("GET", "/metrics").status == 404


@pytest.mark.threat(208)
def test_the_operators_socket_has_no_token_endpoint_and_is_its_owners_alone(start):
    served = start()
    path = served.folder / "watchword-data" / "admin.sock"
    found = path.lstat()
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(GET.replace(b"/metrics", b"/token"))
        assert served.read_reply(connection).status == 404
    assert served.stop() == 0
    assert not path.exists()


ASK = f"""
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(20)
connection.connect(sys.argv[1])
try:
    connection.sendall({GET!r})
    print(len(connection.recv(100)))
except ConnectionError:
    print(0)
"""


@pytest.mark.threat(208)
def test_another_user_is_not_answered_even_where_the_mode_would_let_it_in(start):
    served = start()
    if os.geteuid() != 0:  # nobody else can be made to ask: the decision alone
        assert [admin._is_owner(uid) for uid in (0, os.geteuid(), os.geteuid() + 1)] == [True, True, False]
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        reachable = Path(folder, "admin.sock")
        path = served.folder / "watchword-data" / "admin.sock"
        path.chmod(0o666)
        os.link(path, reachable)
        done = subprocess.run(
            [sys.executable, "-S", "-c", ASK, str(reachable)],
            check=False, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert (done.stdout.strip(), done.stderr) == ("0", "")
        assert at_socket(served, reachable).status == 200


def test_a_socket_that_a_killed_server_left_behind_is_replaced(start):
    served = start()
    served.process.kill()
    served.process.wait(20)
    assert (served.folder / "watchword-data" / "admin.sock").exists()
    assert at_socket(start()).status == 200


def test_a_data_folder_with_a_long_name_has_its_socket_too(start, tmp_path):
    folder = tmp_path / ("long" * 40)
    folder.mkdir(mode=0o700)
    served = start(DATABASE=str(folder / "watchword.db"))
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        assert at_socket(served, Path(f"/proc/self/fd/{descriptor}/admin.sock")).status == 200
    finally:
        os.close(descriptor)


def refusal(folder: Path, **settings: str) -> str:
    environ = {"WATCHWORD_ISSUER": "https://tokens.example", "WATCHWORD_LISTEN": "127.0.0.1:0"}
    environ |= {f"WATCHWORD_{name}": value for name, value in settings.items()}
    done = subprocess.run(
        [sys.executable, "-m", "watchword", "serve"],
        cwd=folder, env=environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.threat(208)
def test_a_socket_in_a_folder_of_everybody_or_on_top_of_a_file_is_refused(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert "nobody else can write to" in refusal(tmp_path, ADMIN_SOCKET="shared/admin.sock")
    (tmp_path / "file").write_text("kept")
    assert "expected a socket or nothing" in refusal(tmp_path, ADMIN_SOCKET="file")
    assert (tmp_path / "file").read_text() == "kept"
    assert "expected a folder" in refusal(tmp_path, ADMIN_SOCKET="missing/admin.sock")


def test_a_socket_that_another_server_listens_on_is_not_taken_from_it(start, tmp_path):
    served = start(ADMIN_SOCKET="here.sock")
    other = tmp_path / "other"
    other.mkdir()
    assert "another process listens" in refusal(other, ADMIN_SOCKET="../here.sock")
    assert at_socket(served, tmp_path / "here.sock").status == 200
    shutil.rmtree(other)


def test_prometheus_reads_them_on_loopback_where_it_is_asked_for(start, tmp_path):
    port = free_port()
    served = start(METRICS_LISTEN=f"127.0.0.1:{port}")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(GET)
        assert served.read_reply(connection).status == 200
        connection.sendall(GET.replace(b"/metrics", b"/health/live"))
        assert served.read_reply(connection).status == 404
    for address in ("0.0.0.0:9001", "192.0.2.1:9001", "[::]:9001"):
        assert "expected a loopback address" in refusal(tmp_path, METRICS_LISTEN=address)


def test_stopping_does_not_wait_for_whoever_reads_metrics(start):
    served = start()
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as idle:
        idle.connect(str(served.folder / "watchword-data" / "admin.sock"))
        assert served.stop() == 0


def test_every_code_and_endpoint_that_exists_can_be_counted():
    assert {"invalid_client", "too_many_requests", "request_refused", "token_expired"} <= codes()
    counted = Metrics(["x"])
    for endpoint in ENDPOINTS:
        for code in codes():
            counted.answered(endpoint, 400, code, 0.1)
    page = text([counted.refusals]).decode()
    assert "other" not in page
    assert len(read(page)) == len(ENDPOINTS) * len(codes())


@given(st.lists(st.floats(0, 20, allow_nan=False), max_size=50))
def test_buckets_are_cumulative_and_hold_everything(durations):
    histogram = Histogram("d_seconds", "x", label="endpoint", values=["token"])
    for seconds in durations:
        histogram.observe("token", seconds)
    found = read(text([histogram]).decode())
    for bound in BUCKETS if durations else ():
        expected = sum(seconds <= bound for seconds in durations)
        assert found["d_seconds_bucket", f'endpoint="token",le="{bound}"'] == expected
    if durations:
        assert found["d_seconds_bucket", 'endpoint="token",le="+Inf"'] == len(durations)
        assert found["d_seconds_sum", 'endpoint="token"'] == pytest.approx(sum(durations))


@pytest.mark.threat(207)
@given(st.lists(st.text()))
def test_a_counter_never_has_more_lines_than_it_was_made_for(values):
    counter = Counter("c_total", "x", code=["known"])
    for value in values:
        counter.add(value)
    assert read(text([counter]).decode()).keys() <= {("c_total", 'code="known"'), ("c_total", 'code="other"')}


@given(st.text())
def test_a_label_cannot_end_its_line(value):
    lines = text([Gauge("g", "x", {value: 1.0}, "kid")]).decode().split("\n")
    assert len(lines) == 4
