"""Who may do what an operator does: a matrix of every operation, from the table of operations itself."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from watchword.authority.admin.table import OPERATIONS
from watchword.errors import RequestRefused
from watchword.server.admin import path_of
from watchword.server.endpoints.administer import AdministerEndpoint
from watchword.server.request import Request

PATHS = sorted(path_of(name).decode() for name in OPERATIONS)

# another user: the kernel lets it reach the socket here, and the server must not talk to it
STRANGER = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
reached, paths = sys.argv[1], sys.argv[2:]
for path in paths:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(reached)
        heard = b""
        try:
            head = f"POST {path} HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\n"
            connection.sendall(head.encode() + b"Content-Length: 2\\r\\n\\r\\n{}")
            heard = connection.recv(100)
        except (BrokenPipeError, ConnectionResetError):
            pass
        print(len(heard))
"""


def tricks(path: str) -> list[str]:
    """Other spellings of a path, which mean the same to somebody else."""
    noun, verb = path.removeprefix("/admin/").split("/")
    return [
        f"/{path}", f"/admin//{noun}/{verb}", f"{path}/", f"/admin/..;/admin/{noun}/{verb}",
        f"/x/..{path}", f"/./admin/{noun}/{verb}", f"/%61dmin/{noun}/{verb}", f"/admin/{noun}%2f{verb}",
        f"/admin%2F{noun}/{verb}", path.upper(), f"{path};x", f"{path}%00", f"{path}.json",
        f"/admin/{noun}.{verb}", f"/token/..{path}", f"/health/live{path}",
    ]  # fmt: skip


@pytest.mark.threat(208, 209)
def test_no_operation_is_at_the_public_address(server) -> None:
    for path in PATHS:
        asked = [("POST", spelling) for spelling in tricks(path)]
        asked += [(method, path) for method in ("POST", "GET", "HEAD", "PUT", "OPTIONS")]
        for method, spelling in asked:
            reply = server.request(method, spelling, body=b"{}", Content_Type="application/json")
            assert reply.status in (400, 404), (method, spelling)


@pytest.mark.threat(208, 209)
def test_no_operation_is_where_prometheus_reads(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    served = start(METRICS_LISTEN=f"127.0.0.1:{port}")
    served.address = ("127.0.0.1", port)
    assert served.request("GET", "/metrics").status == 200
    for path in PATHS:
        assert served.request("POST", path, body=b"{}", Content_Type="application/json").status == 404


@pytest.mark.threat(209)
def test_another_user_is_not_answered_whatever_it_asks(start) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user: who may talk is tested with its uid in test_metrics")
    served = start()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        reached = Path(folder, "admin.sock")
        path = served.folder / "watchword-data" / "admin.sock"
        path.chmod(0o666)  # as if folder and mode were no protection at all
        os.link(path, reached)
        done = subprocess.run(
            [sys.executable, "-S", "-c", STRANGER, str(reached), *PATHS],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["0"] * len(PATHS), "")
    assert served.at_socket("/admin/keys/show").status == 200


@pytest.mark.threat(211)
def test_only_the_one_spelling_and_the_one_method_reach_an_operation(server) -> None:
    for path in PATHS:
        for spelling in tricks(path):
            assert server.at_socket(spelling).status in (400, 404), spelling
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"):
            reply = server.at_socket(path, method=method, X_HTTP_Method_Override="POST")
            assert (reply.status, reply.headers["allow"]) == (405, "POST"), (method, path)
        assert server.at_socket(f"{path}?x=1").status == 400
        assert server.at_socket(path, Content_Type="text/plain").status == 415
        assert server.at_socket(path, Content_Type="").status == 415
        assert server.at_socket(path, Content_Encoding="gzip").status == 415


@pytest.mark.threat(209, 210)
def test_every_operation_knows_its_request_and_refuses_any_other(server) -> None:
    assert PATHS
    for path in PATHS:
        for body in (b"", b"[]", b"{", b'{"colour": 1}', b'"x"', b"\xff\xff", b"[" * 100_000, b"null"):
            reply = server.at_socket(path, body)
            assert reply.status == 400, (path, body[:20])
            told = reply.json()
            assert told["code"] == "operation_invalid"
            assert all("Traceback" not in problem and len(problem) < 500 for problem in told["problems"])


def test_a_request_without_end_is_refused(server) -> None:
    assert server.at_socket(PATHS[0], b"", Content_Length=str(18 * 1024 * 1024)).status == 413


def test_the_operator_is_the_user_that_the_kernel_saw(start) -> None:
    served = start()
    made = served.at_socket(
        "/admin/keys/prepare", X_Operator="root", Authorization="Basic cm9vdDpyb290"
    ).json()
    assert served.stop() == 0
    operator = f"operator|{os.geteuid()}"
    assert [(event["type"], event["actor"], event["kid"]) for event in served.events()][-2:] == [
        ("operation.requested", operator, None),
        ("key.prepared", operator, made["kid"]),
    ]


def test_a_refused_change_is_an_event_with_its_reason(start) -> None:
    served = start()
    reply = served.at_socket("/admin/keys/activate", b'{"kid": "nobody"}')
    assert (reply.status, reply.json()["code"]) == (409, "token_key_unknown")
    assert served.stop() == 0
    before, after = served.events()[-2:]
    assert (before["type"], before["reason"]) == ("operation.requested", "keys.activate")
    assert before["kid"] == "nobody"
    assert (after["type"], after["outcome"], after["kid"]) == ("operation.refused", "refused", "nobody")
    assert after["reason"].startswith("keys.activate: token_key_unknown: ")
    assert {before["actor"], after["actor"]} == {f"operator|{os.geteuid()}"}


def test_the_page_lists_exactly_the_operations_that_exist() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "endpoints.md").read_text()
    told = [line for line in page.splitlines() if re.match(r"\| `[a-z]+\.[a-z-]+` \|", line)]
    assert told == [described(name) for name in sorted(OPERATIONS)]


def described(name: str) -> str:
    operation = OPERATIONS[name]
    members = [
        f"`{field.encode_name}`{'' if field.required else '?'}"
        for field in msgspec.structs.fields(operation.request)
    ]
    changes = " yes " if operation.changes else " "
    first_line = (operation.deed.__doc__ or "").splitlines()[0]
    return f"| `{name}` | {', '.join(members) or 'nothing'} |{changes}| {first_line} |"


@pytest.mark.anyio
@pytest.mark.threat(208)
async def test_a_listener_that_does_not_know_who_comes_has_no_operation_even_by_mistake() -> None:
    async def perform(body: bytes, operator: str) -> None:
        pytest.fail(f"{operator} was let in")

    for state in ({}, {"operator": "operator|0"}):
        scope = {"query_string": b"", "headers": [(b"content-type", b"application/json")], "state": state}
        with pytest.raises(RequestRefused) as refused:
            await AdministerEndpoint(perform)(Request(scope, None, "r"))
        assert refused.value.status == 404
