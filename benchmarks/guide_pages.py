"""P12: a page of posts with their authors: the design that tutorials teach, beside ours.

Theirs fetches the key for every request, parses it each time, and asks once per post with the token of the
user. Ours verifies a token that it has seen, exchanges it once, and asks for all authors at once. Both are
the files of `examples/guide`, served alike by the server of Werkzeug, with as many posts as the page has.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests

from benchmarks.race import Result
from benchmarks.row import Goal, Row
from benchmarks.server_process import ServerProcess, cores, free_port, serving
from benchmarks.token_servers import start
from benchmarks.token_servers.contender import SECRET

GOALS = {20: Goal(15, 28, True), 100: Goal(60, 110, True)}
CONCURRENCY = Goal(5, 11, True)
MIN_ROUNDS = 5
DELAY = 0.005


class Side(NamedTuple):
    """One design: its processes, and a page of it."""

    name: str
    servers: tuple[ServerProcess, ...]
    page: str
    token: str

    def ask(self) -> tuple[float, float, list[Any]]:
        """Return seconds of the processor and on the wall for one page, and the page."""
        before = sum(server.processor_seconds() for server in self.servers)
        begun = time.perf_counter()
        answer = requests.get(self.page, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)
        passed = time.perf_counter() - begun
        answer.raise_for_status()
        return sum(server.processor_seconds() for server in self.servers) - before, passed, answer.json()


@contextmanager
def flask_service(module: str, folder: Path, **environ: str) -> Iterator[ServerProcess]:
    """Serve a file of the guide with Flask's own server."""
    port = int(environ.get("PORT", "0")) or free_port()
    here = folder / f"{module.replace('.', '-')}-{port}"
    here.mkdir()
    command = [sys.executable, "-m", "benchmarks.guide_service", module, str(port)]
    with serving(
        module,
        command,
        port,
        folder=here,
        health=None,
        environ={"PYTHONPATH": str(start.ROOT), **environ},
        core=None if environ["BENCH_DELAY"] != "0" else cores()[0],  # who waits for others may use both
    ) as server:
        yield server


@contextmanager
def theirs(posts: int, folder: Path, delay: float = 0) -> Iterator[Side]:
    given = {"BENCH_POSTS": str(posts), "BENCH_DELAY": str(delay)}
    with ExitStack() as stack:
        users = stack.enter_context(flask_service("theirs.users_service", folder, **given))
        url = f"http://{users.host}"
        service = stack.enter_context(flask_service("theirs.posts_service", folder, BENCH_USERS=url, **given))
        token = requests.post(f"{url}/login", json={"user_id": 1}, timeout=30).json()["token"]
        yield Side("theirs", (users, service), f"http://{service.host}/posts", token)


@contextmanager
def ours(posts: int, folder: Path, delay: float = 0, way: str = "batch") -> Iterator[Side]:
    given = {"BENCH_POSTS": str(posts), "BENCH_DELAY": str(delay), "BENCH_WAY": way}
    with ExitStack() as stack:
        tokens = stack.enter_context(start.watchword(folder))
        secret = folder / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        port = free_port()
        common = {
            "WATCHWORD_ISSUER": f"http://{tokens.server.host}",
            "WATCHWORD_URL_USERS": f"http://127.0.0.1:{port}",
            **given,
        }
        settings: Mapping[str, str] = {"WATCHWORD_AUDIENCE": "users", "WATCHWORD_KEYS": "memory:"}
        users = stack.enter_context(
            flask_service("ours.users_service", folder, PORT=str(port), **common, **settings)
        )
        settings = {
            "WATCHWORD_AUDIENCE": "posts",
            "WATCHWORD_CLIENT_ID": "posts",
            "WATCHWORD_CLIENT_SECRET_FILE": str(secret),
        }
        service = stack.enter_context(flask_service("ours.posts_service", folder, **common, **settings))
        servers = (users, service, tokens.server)
        yield Side("ours", servers, f"http://{service.host}/posts", tokens.seen_token())


def raced(sides: tuple[Side, Side], posts: int, seconds: float) -> tuple[Result, Result]:
    processor: dict[str, list[float]] = {side.name: [] for side in sides}
    wall: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in sides:
        for _ in range(3):  # warm: keys fetched, the token exchanged
            page = side.ask()[2]
        authors = [(post.get("user") or {}).get("id") for post in page]
        if [str(author) for author in authors] != [str(n) for n in range(1, posts + 1)]:
            raise RuntimeError(
                f"{side.name} does not show {posts} posts with their authors: nothing is compared"
            )
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(wall["ours"]) < MIN_ROUNDS:
        for side in sides:
            used, passed, _ = side.ask()
            processor[side.name].append(used)
            wall[side.name].append(passed)
    return Result(processor), Result(wall)


def measured(seconds: float, goals: Mapping[int, Goal] = GOALS, *, together: int = 20) -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-guide-")))

        def compared(name: str, posts: int, delay: float, way: str) -> tuple[Result, Result]:
            here = folder / name
            here.mkdir()
            with theirs(posts, here, delay) as a, ours(posts, here, delay, way) as b:
                return raced((a, b), posts, seconds)

        for posts, goal in goals.items():
            processor, wall = compared(f"batch-{posts}", posts, 0, "batch")
            for result, on, held in ((processor, "", goal), (wall, " (wall)", None)):
                took = result.median("ours") * 1e6
                yield Row(
                    "P12", f"theirs / ours, {posts} posts{on}", "", result.ratio("theirs", "ours"), took, held
                )
        _, wall = compared("concurrency", together, DELAY, "each")
        what = f"{together} posts, answers of 5 ms, concurrency alone (wall)"
        took = wall.median("ours") * 1e6
        yield Row("P12", what, "", wall.ratio("theirs", "ours"), took, CONCURRENCY)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks guide_pages", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per race (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    rows = []
    if not options.json:
        print("one page for one reader: processor time of all services, and what the wall says\n")
    for row in measured(options.seconds):
        rows.append(row)
        if not options.json:
            print(row, flush=True)
    if options.json:
        print(json.dumps({"rows": [row.as_json() for row in rows]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
