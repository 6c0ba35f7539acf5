"""P5: an application behind our guard, beside the same one without, and beside PyJWT with its `PyJWKClient`.

The same token comes again and again, as it does in a service. FastAPI and plain ASGI are served by uvicorn
on one core; Flask is called as WSGI without a server around it, which is the harder comparison.
"""

import argparse
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import guarded_apps, load
from benchmarks.endpoints import on_the_other_core, raced
from benchmarks.race import Ratio, Result, calling, race
from benchmarks.row import Goal, Row
from benchmarks.server_process import ServerProcess, cores, free_port, serving
from benchmarks.token_servers import start
from benchmarks.token_servers.contender import Contender

SHARE = Goal(0.7, 0.8, True)
COST = Goal(6, 6, True)
GUARDS = ("plain", "ours", "pyjwt")


@dataclass(frozen=True)
class Service:
    """One application of the three, served."""

    server: ServerProcess
    issuer: Contender

    def posts(self, n: int) -> list[bytes]:
        bearer = {"Authorization": f"Bearer {self.issuer.seen_token()}"}
        return [load.request("GET", "/posts", self.server.host, headers=bearer)] * n


def served(
    framework: str, issuer: Contender, folder: Path, alg: str, seconds: float, guards: Sequence[str] = GUARDS
) -> Result:
    with ExitStack() as stack:
        makes: dict[str, Any] = {}
        for guard in guards:
            port, here = free_port(), folder / f"{framework}-{guard}"
            here.mkdir()
            command = [
                sys.executable, "-m", "uvicorn", "--port", str(port), "--no-access-log", "--loop", "uvloop",
                "--http", "httptools", "--log-level", "warning", "benchmarks.guarded_apps:app",
            ]  # fmt: skip
            environ = {
                "BENCH_APP": f"{framework}-{guard}",
                "BENCH_ISSUER": f"http://{issuer.server.host}",
                "BENCH_ALG": alg,
                "PYTHONPATH": str(start.ROOT),
            }
            server = stack.enter_context(
                serving(guard, command, port, folder=here, health=None, environ=environ, core=cores()[0])
            )
            service = Service(server, issuer)
            makes[guard] = (service, service.posts)
            _demand_guarded(guard, load.answers(port, [load.request("GET", "/posts", server.host)])[0].status)
        stack.enter_context(on_the_other_core())
        return raced(makes, seconds, load.CONNECTIONS).processor


def called(issuer: Contender, alg: str, seconds: float) -> Result:
    runners = {}
    for guard in GUARDS:
        app = guarded_apps.flask_app(guard, f"http://{issuer.server.host}", alg)
        token = issuer.seen_token()
        if _wsgi(app.wsgi_app, token)() != "200 OK":
            raise RuntimeError(f"{guard} refuses a good token")
        _demand_guarded(guard, int(_wsgi(app.wsgi_app, token[:-9] + "AAAAAAAAA")()[:3]))
        runners[guard] = calling(_wsgi(app.wsgi_app, token))
    return race(runners, seconds)


def _demand_guarded(guard: str, status: int) -> None:
    if (status == 200) != (guard == "plain"):
        raise RuntimeError(f"{guard} answered {status} without a good token: nothing would be compared")


def _wsgi(app: Callable[..., Any], token: str) -> Callable[[], str]:
    base = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/posts", "SCRIPT_NAME": "", "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1", "HTTP_AUTHORIZATION": f"Bearer {token}", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr, "wsgi.version": (1, 0),
        "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    told = [""]

    def start_response(status: str, headers: object, exc_info: object = None) -> None:
        told[0] = status

    def ask() -> str:
        answer = app(dict(base), start_response)
        b"".join(answer)
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        return told[0]

    return ask


def rows(framework: str, alg: str, result: Result) -> Iterator[Row]:
    took = result.median("ours") * 1e6
    yield Row(
        "P5",
        f"{framework}: requests with our guard / without",
        alg,
        result.ratio("plain", "ours"),
        took,
        SHARE,
    )
    yield Row("P5", f"{framework}: with our guard / with PyJWT", alg, result.ratio("pyjwt", "ours"), took)
    plain, ours, theirs = (result.median(guard) for guard in GUARDS)
    if "empty" in result.rounds:
        what = f"{framework}: with our guard / with dependencies that check nothing"
        yield Row("P5", what, alg, result.ratio("empty", "ours"), took)
    cost = (theirs - plain) / (ours - plain)
    yield Row(
        "P5", f"{framework}: what PyJWT adds / what our guard adds", alg, Ratio(cost, cost, cost), None, COST
    )


def measured(seconds: float, alg: str) -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-middleware-")))
        issuer = stack.enter_context(start.watchword(folder, alg=alg))
        yield from rows("Flask", alg, called(issuer, alg, seconds))
        for framework, name, guards in (("fastapi", "FastAPI", (*GUARDS, "empty")), ("asgi", "ASGI", GUARDS)):
            yield from rows(name, alg, served(framework, issuer, folder, alg, seconds, guards))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks middleware", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per race (default: %(default)s)")
    parser.add_argument("--algorithm", choices=("ES256", "RS256"), default="ES256")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    found = []
    if not options.json:
        print("requests per second of processor time; the same token each time\n")
    for row in measured(options.seconds, options.algorithm):
        found.append(row)
        if not options.json:
            print(row, flush=True)
    if options.json:
        print(json.dumps({"rows": [row.as_json() for row in found]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
