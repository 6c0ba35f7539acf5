"""Runs the tests of the tokens against mutants: `prove.py TOKENS_FOLDER TESTS_FOLDER WORK_FOLDER FIRST STEP`.

One process loads pytest and the libraries once and forks for every mutant, two at a time. Prints JSON: how
many were tried, and the changes that no test noticed.
"""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

sys.path.insert(0, str(Path(__file__).parent))
from mutants import Mutant, mutants

PROCESSES = 2
HANG = 120  # seconds after which a mutant has shown itself by hanging

# Which tests are the likeliest to notice, by module; the others follow only for those that survive.
NEAR = {
    "verify": ["claims", "actors_and_proofs", "kind", "algorithms", "key_selection", "policy_and_issuers"],
    "jws": ["compact_form", "header", "key_selection"],
    "jwk": ["jwk"],
    "jwk_set": ["jwk", "key_selection"],
    "strict_json": ["strict_json"],
    "base64url": ["compact_form"],
    "policy": ["policy_and_issuers", "kind"],
    "algorithms": ["signatures", "algorithms"],
    "claims": ["claims", "actors_and_proofs"],
    "kind": ["kind"],
    "shared_secret": ["algorithms", "policy_and_issuers"],
    "verified": ["verified_token"],
}
ALL = sorted({name for names in NEAR.values() for name in names})


class Prover:
    """Keeps a few forked test runs going and collects what they say."""

    def __init__(self, tokens: Path, tests: Path, work: Path) -> None:
        self.tokens, self.tests, self.work = tokens, tests, work
        self.running: dict[int, tuple[Mutant | None, list[str]]] = {}
        self.survivors: list[str] = []
        self.broken: list[str] = []
        work.mkdir(exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = work / "rsa.pem"
        pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        os.environ["WATCHWORD_TEST_RSA_KEY_FILE"] = str(pem)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

    def prove(self, chosen: list[Mutant]) -> None:
        self.start(None, ALL)  # the unchanged package must be green, or nothing is proven
        self.wait()
        if self.broken:
            return
        for mutant in chosen:
            self.start(mutant, NEAR[mutant.module])
        while self.running:
            self.wait()

    def start(self, mutant: Mutant | None, names: list[str]) -> None:
        while len(self.running) >= PROCESSES:
            self.wait()
        folder = self.work / f"{len(list(self.work.iterdir()))}"
        self.lay_out(folder, mutant)
        pid = os.fork()
        if pid == 0:
            os._exit(self.run_tests(folder, names))
        self.running[pid] = (mutant, names)

    def lay_out(self, folder: Path, mutant: Mutant | None) -> None:
        package = folder / "watchword"
        (package / "tokens").mkdir(parents=True)
        for source, target in ((self.tokens.parent, package), (self.tokens, package / "tokens")):
            for entry in source.iterdir():
                if entry.name not in ("tokens", "__pycache__"):
                    (target / entry.name).symlink_to(entry)
        if mutant is not None:
            changed = package / "tokens" / f"{mutant.module}.py"
            changed.unlink()
            changed.write_text(mutant.source)

    def run_tests(self, folder: Path, names: list[str]) -> int:
        signal.alarm(HANG)
        sys.path.insert(0, str(folder))
        sys.dont_write_bytecode = True
        quiet = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        files = [str(self.tests / f"test_{name}.py") for name in names]
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no", *files])
        import watchword.tokens.verify

        if Path(watchword.tokens.verify.__file__).parts[:-3] != folder.parts:
            return 99
        return int(code)

    def wait(self) -> None:
        pid, status = os.wait()
        mutant, names = self.running.pop(pid)
        code = os.waitstatus_to_exitcode(status)
        if mutant is None:
            if code != 0:
                self.broken.append(f"the unchanged package is not green: exit code {code}")
        elif code in (3, 4, 5, 99):
            self.broken.append(f"{mutant.change}: exit code {code}")
        elif code == 0 and names != ALL:
            self.start(mutant, ALL)
        elif code == 0:
            self.survivors.append(mutant.change)


def main() -> None:
    """Prove every STEP-th mutant from the FIRST on."""
    tokens, tests, work = (Path(text).resolve() for text in sys.argv[1:4])
    first, step = int(sys.argv[4]), int(sys.argv[5])
    every = list(mutants(tokens))
    chosen = every[first::step]
    prover = Prover(tokens, tests, work)
    prover.prove(chosen)
    print(
        json.dumps(
            {"all": len(every), "tried": len(chosen), "survivors": prover.survivors, "broken": prover.broken}
        )
    )


if __name__ == "__main__":
    main()
