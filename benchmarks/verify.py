"""P1 to P4: what verifying and issuing cost beside the bare signature and beside other libraries."""

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from typing import Any

from benchmarks.cached import remembering
from benchmarks.peers import AUDIENCE, ISSUER, PEERS, Node, NodeUnavailable, bare, bare_sign, node_jose
from benchmarks.race import Batch, calling, race
from benchmarks.row import Goal, Row
from watchword.errors import TokenError
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.tokens.jws import split
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify

ALGORITHMS = {"RS256": "RS256", "ES256": "ES256", "Ed25519": "EdDSA"}
"""What the table calls it, and the `alg` that every peer knows."""


P1 = {"RS256": Goal(1.5, 1.35), "ES256": Goal(1.18, 1.10), "Ed25519": Goal(1.18, 1.10)}
P2 = {"RS256": Goal(2.5, 3.2, True), "ES256": Goal(1.6, 1.8, True), "Ed25519": Goal(1.3, 1.4, True)}
P2_NODE = Goal(1.0, 1.0, True)
P4 = {"RS256": Goal(1.05, 1.0), "ES256": Goal(1.3, 1.15), "Ed25519": Goal(1.2, 1.08)}


def verifying(name: str, alg: str, node: Node | None, seconds: float) -> Iterator[Row]:
    issuer = Issuer(ISSUER, MemoryKeyStore(), algorithm=alg)
    issuer.prepare_key()
    token = issuer.issue(
        "local|john_doe", AUDIENCE, client_id="web", scope={"posts:read", "posts:write"}, session_id="a" * 22
    )
    key = issuer.keyring.active.key.public
    keys, policy, now = issuer.jwk_set(), VerificationPolicy(ISSUER, AUDIENCE, [alg]), time.time
    ours = calling(lambda: verify(token, keys, policy, now()))
    forged = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    _demand_refused(lambda: verify(forged, keys, policy, now()), "ours")
    alone = race({"bare": calling(bare(token, key)), "ours": ours}, seconds / 2)
    took = alone.median("ours") * 1e6
    yield Row("P1", "cold verify / bare cryptography", name, alone.ratio("ours", "bare"), took, P1[name])
    runners: dict[str, Batch] = {"ours": ours}
    for peer, make in PEERS.items():
        theirs = make(keys, alg)
        theirs(token)
        _demand_refused(lambda theirs=theirs: theirs(forged), peer)
        runners[peer] = calling(lambda theirs=theirs: theirs(token))
    if node is not None:
        runners["npm jose"] = node.batch(token, keys, alg)
    result = race(runners, seconds)
    took = result.median("ours") * 1e6
    for peer in [*PEERS, *(["npm jose"] if node is not None else [])]:
        goal = {"PyJWT": P2[name], "npm jose": P2_NODE}.get(peer)
        yield Row("P2", f"{peer} / cold verify", name, result.ratio(peer, "ours"), took, goal)


def issuing(name: str, alg: str, seconds: float) -> Row:
    issuer = Issuer(ISSUER, MemoryKeyStore(), algorithm=alg)
    scope = frozenset({"posts:read", "posts:write"})

    def issue() -> str:
        return issuer.issue("local|john_doe", AUDIENCE, client_id="web", scope=scope, session_id="a" * 22)

    data = split(issue()).signing_input
    result = race(
        {"bare": calling(bare_sign(issuer.keyring.active.key, data)), "ours": calling(issue)}, seconds
    )
    ratio = result.ratio("ours", "bare")
    return Row("P4", "issue / bare sign", name, ratio, result.median("ours") * 1e6, P4[name])


def measured(seconds: float) -> Iterator[Row]:
    with ExitStack() as stack:
        node = None
        try:
            node = stack.enter_context(node_jose())
        except NodeUnavailable as why:
            print(f"SKIPPED: npm jose does not take part ({why})", file=sys.stderr)
        for name, alg in ALGORITHMS.items():
            yield from verifying(name, alg, node, seconds)
        for name, alg in ALGORITHMS.items():
            yield from remembering(name, alg, seconds / 2)
        for name, alg in ALGORITHMS.items():
            yield issuing(name, alg, seconds / 2)


def _demand_refused(deed: Any, who: str) -> None:
    try:
        deed()
    except TokenError:
        return
    except Exception:  # each library has errors of its own
        if who != "ours":
            return
        raise
    raise RuntimeError(f"{who} accepted a forged token: this race would compare nothing")


def main(arguments: list[str] | None = None) -> int:
    warnings.simplefilter("ignore")  # peers warn of `EdDSA`, the one name that all of them know
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per race (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args(arguments)
    packages = {
        name: version(name) for name in ("cryptography", "msgspec", "pyjwt", "joserfc", "authlib", "jwcrypto")
    }
    rows = []
    if not options.json:
        print(f"CPython {platform.python_version()}, {', '.join(f'{n} {v}' for n, v in packages.items())}")
        print("processor time: ratio of medians (smallest-largest within a round), ours, what must hold\n")
    for row in measured(options.seconds):
        rows.append(row)
        if not options.json:
            print(row, flush=True)
    if options.json:
        print(json.dumps({"packages": packages, "rows": [row.as_json() for row in rows]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
