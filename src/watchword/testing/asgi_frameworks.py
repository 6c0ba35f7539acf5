"""What a framework on ASGI must do beyond `FrameworkBehaviour`: WebSockets, and work after the answer.

The application has two more routes:

| | guarded by | does |
| --- | --- | --- |
| `GET /later` | `posts:read` | answers, and afterwards calls `endpoints.note()` in the framework's way |
| WebSocket `/socket` | `posts:read` | accepts, and answers each text with `endpoints.who()` |

At the text `authors` the socket first calls the service `users`, as `/authors` does. The tests need the
library `websockets`.
"""

from typing import Any

import pytest

from watchword.testing.framework_site import GUARD, REFUSED, Site, expect
from watchword.testing.frameworks import FrameworkBehaviour
from watchword.testing.peers import Reply


class AsgiBehaviour(FrameworkBehaviour):
    """Subclass it as `Test…` and write `serve`."""

    @pytest.mark.threat(239)
    def test_work_after_the_answer_has_no_caller(self, site: Site) -> None:
        expect(site.get("/later", site.issuer.token()).status == 200, None)
        seen = site.endpoints.noted.get(timeout=GUARD)
        expect(seen == "nobody", seen)

    def test_a_socket_runs_for_its_caller(self, site: Site) -> None:
        with _connected(site, site.issuer.token("jane_doe")) as socket:
            for _ in range(2):
                socket.send("who")
                seen = socket.recv(GUARD)
                expect(seen == "jane_doe", seen)

    def test_sockets_side_by_side_never_see_each_other(self, site: Site) -> None:
        with (
            _connected(site, site.issuer.token("jane_doe")) as janes,
            _connected(site, site.issuer.token("john_doe")) as johns,
        ):
            for socket in (janes, johns):
                socket.send("who")
            seen = (janes.recv(GUARD), johns.recv(GUARD))
            expect(seen == ("jane_doe", "john_doe"), seen)

    @pytest.mark.threat(233)
    @pytest.mark.parametrize("kind", sorted(REFUSED))
    def test_a_socket_with_a_bad_token_is_never_accepted(self, site: Site, kind: str) -> None:
        status, headers = _refused(site, REFUSED[kind](site.issuer))
        expect(status == 401, status)
        expect('error="invalid_token"' in headers["www-authenticate"], headers)

    def test_a_socket_without_a_token_or_its_scope_is_never_accepted(self, site: Site) -> None:
        status, headers = _refused(site, None)
        expect((status, headers["www-authenticate"].split(" ")[0]) == (401, "Bearer"), headers)
        status, headers = _refused(site, site.issuer.token(scope={"posts:write"}))
        expect((status, 'scope="posts:read"' in headers["www-authenticate"]) == (403, True), headers)

    def test_a_socket_whose_callee_fails_is_closed_as_our_own_trouble(self, fresh_site: Site) -> None:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415  # as above

        fresh_site.users.routes["/users"] = lambda *_: Reply(500, {})
        with _connected(fresh_site, fresh_site.issuer.token()) as socket:
            socket.send("authors")
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(GUARD)
        code = closed.value.rcvd.code if closed.value.rcvd else None
        expect(code == 1011, code)


def _connected(site: Site, token: str | None) -> Any:
    from websockets.sync.client import connect  # noqa: PLC0415  # needed by those who test sockets

    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    address = "ws" + site.url.removeprefix("http") + "/socket"
    return connect(address, additional_headers=headers, open_timeout=GUARD, proxy=None)


def _refused(site: Site, token: str | None) -> tuple[int, Any]:
    from websockets.exceptions import InvalidStatus  # noqa: PLC0415  # as above

    with pytest.raises(InvalidStatus) as refused:
        _connected(site, token)
    return refused.value.response.status_code, refused.value.response.headers
