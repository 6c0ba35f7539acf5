"""P6, P7, P9: the whole token service beside others, request by request, each on one core.

Ours is durable and has its audit event on disk before it answers. The ratio is of processor time per request,
user and system, of the server's processes; requests per second on the wall stand beside it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import jwt

from benchmarks import load
from benchmarks.race import Result
from benchmarks.row import Goal, Row
from benchmarks.server_process import cores
from benchmarks.token_servers import start
from benchmarks.token_servers.contender import LIFETIME, Contender, Make

UNVERIFIED = {"verify_signature": False}
MIN_ROUNDS = 5
MOST = 2_000  # requests of one turn
TURN_SECONDS = 0.15
"""Of processor time that one turn takes about, so that slow ones do fewer requests."""


class Measure(NamedTuple):
    """What is asked of everybody who can."""

    id: str
    what: str
    make: Callable[[Contender], Make]
    peers: Mapping[str, Goal | None]


_AUDITED = Goal(1.4, 1.9, True)
MEASURES = (
    Measure(
        "P6",
        "client_credentials, secret",
        lambda who: who.by_secret,
        {"oidc-provider": _AUDITED, "Authlib": None, "django-oauth-toolkit": None},
    ),
    Measure("P6", "the same, private_key_jwt", lambda who: who.by_assertion, {"oidc-provider": None}),
    Measure("P7", "exchange, token unseen", lambda who: who.exchange_unseen, {"oidc-provider": _AUDITED}),
    Measure("P7", "exchange, token seen", lambda who: who.exchange_seen, {"oidc-provider": Goal(2, 3, True)}),
    Measure(
        "P9",
        "introspection, token unseen",
        lambda who: who.introspect_unseen,
        {"oidc-provider": Goal(1.5, 1.5, True), "Authlib": None, "django-oauth-toolkit": None},
    ),
    Measure(
        "P9",
        "introspection, token seen",
        lambda who: who.introspect_seen,
        {"oidc-provider": Goal(3.5, 5, True), "Authlib": None, "django-oauth-toolkit": None},
    ),
    Measure("P9", "JWK Set", lambda who: who.keys, {"oidc-provider": Goal(2.5, 3.3, True), "Authlib": None}),
)


class Raced(NamedTuple):
    """Seconds per request, of the processor and on the wall."""

    processor: Result
    wall: Result


STARTERS = {
    "oidc-provider": start.oidc_provider,
    "Authlib": start.authlib,
    "django-oauth-toolkit": start.django,
}


def raced(makes: Mapping[str, tuple[Contender, Make]], seconds: float, connections: int) -> Raced:
    """Let everybody answer a little in each round, until about `seconds` have passed.

    Raises:
        RuntimeError: somebody answered with anything but 200.
    """
    processor: dict[str, list[float]] = {name: [] for name in makes}
    wall: dict[str, list[float]] = {name: [] for name in makes}

    def one(name: str, n: int) -> tuple[float, float]:
        who, make = makes[name]
        requests = make(n)
        before = who.server.processor_seconds()
        done = load.turn(who.server.port, requests, connections)
        used = who.server.processor_seconds() - before
        if done.statuses != {200: n}:
            raise RuntimeError(f"expected {name} to answer {n} times with 200, found {dict(done.statuses)}")
        return used / n, done.seconds / n

    sizes = {}
    for name in makes:
        one(name, 4 * connections)  # warm: connections, caches, just-in-time compilers
        each = min(one(name, 4 * connections)[0] for _ in range(2))
        sizes[name] = min(MOST, max(2 * connections, round(TURN_SECONDS / each)))
    end = time.perf_counter() + seconds
    order = list(makes)
    while time.perf_counter() < end or len(processor[order[0]]) < MIN_ROUNDS:
        for name in order:
            used, passed = one(name, sizes[name])
            processor[name].append(used)
            wall[name].append(passed)
        order.reverse()  # nobody always runs behind the same neighbour
    return Raced(Result(processor), Result(wall))


def rows(measure: Measure, ours: str, race: Raced, alg: str) -> Iterator[Row]:
    """Yield two lines per peer: the processor time, which the goal is about, and what the wall says."""
    for name in race.processor.rounds:
        if name == ours:
            continue
        for result, on, goal in (
            (race.processor, "", measure.peers[name]),
            (race.wall, " (wall)", None),
        ):
            what = f"{name}: {measure.what}{on}"
            yield Row(measure.id, what, alg, result.ratio(name, ours), result.median(ours) * 1e6, goal)


def demand_same_work(measure: Measure, contenders: Mapping[str, Contender], alg: str) -> None:
    """Ask everybody once and look at what they answer.

    Raises:
        RuntimeError: somebody does something else: then a race would compare nothing.
    """
    for name, who in contenders.items():
        answer = who.first(measure.make(who)(1))
        if "access_token" in answer:
            token = str(answer["access_token"])
            signed = name != "django-oauth-toolkit"
            # ours gives no token that outlives the one it was exchanged for
            lives = (
                range(LIFETIME, LIFETIME + 1) if measure.id != "P7" else range(LIFETIME // 2, LIFETIME + 1)
            )
            good = answer["expires_in"] in lives and answer["scope"] == "users:read"
            if signed:
                header, claims = jwt.get_unverified_header(token), jwt.decode(token, options=UNVERIFIED)
                good = good and header["alg"] == alg and claims["exp"] - claims["iat"] in lives
                good = good and claims["aud"] == "users" and ("act" in claims) == (measure.id == "P7")
        else:
            good = answer.get("active") is True or len(answer.get("keys", ())) > 0
        if not good:
            raise RuntimeError(f"{name} does not do the same work for {measure.what}: {sorted(answer)}")


def measured(
    seconds: float, alg: str, connections: int, measures: Sequence[Measure] = MEASURES
) -> Iterator[Row]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-endpoints-")))
        ours = stack.enter_context(start.watchword(folder, alg=alg))
        peers = {}
        for name, begin in STARTERS.items():
            try:
                peers[name] = stack.enter_context(begin(folder, alg=alg))
            except (start.PeerUnavailable, OSError) as why:
                print(f"SKIPPED: {name} does not take part ({why})", file=sys.stderr)
        stack.enter_context(on_the_other_core())
        for measure in measures:
            everybody = {ours.server.name: ours} | {n: peers[n] for n in measure.peers if n in peers}
            if measure.id != "P9" or measure.what != "JWK Set":
                demand_same_work(measure, everybody, alg)
            makes = {name: (who, measure.make(who)) for name, who in everybody.items()}
            yield from rows(measure, ours.server.name, raced(makes, seconds, connections), alg)


@contextmanager
def on_the_other_core() -> Iterator[None]:
    """Keep the load away from the servers' core, for a while."""
    _, core = cores()
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks endpoints", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per race (default: %(default)s)")
    parser.add_argument("--algorithm", choices=("ES256", "RS256"), default="ES256", help="of access tokens")
    parser.add_argument("--connections", type=int, default=load.CONNECTIONS, help="default: %(default)s")
    parser.add_argument("--only", metavar="P6,P7", default="P6,P7,P9", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    found = []
    if not options.json:
        print(f"{options.connections} clients on keep-alive connections; processor time per request")
        print("peer / ours: ratio of medians (smallest-largest within a round), ours, what must hold\n")
    chosen = [measure for measure in MEASURES if measure.id in options.only.split(",")]
    for row in measured(options.seconds, options.algorithm, options.connections, chosen):
        found.append(row)
        if not options.json:
            print(row, flush=True)
    if options.json:
        print(json.dumps({"rows": [row.as_json() for row in found]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
