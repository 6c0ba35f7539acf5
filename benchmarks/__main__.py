"""`python -m benchmarks [NAME …] [options]`: every benchmark, or those that are named, in turn."""

import importlib
import sys
from pathlib import Path

NAMES = tuple(
    path.stem
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py"))
    if "def main(arguments" in path.read_text()
)


def main(arguments: list[str]) -> int:
    named = [argument for argument in arguments if argument in NAMES]
    options = [argument for argument in arguments if argument not in NAMES]
    status = 0
    for name in named or NAMES:
        print(f"\n== {name}\n", file=sys.stderr, flush=True)
        status = importlib.import_module(f"benchmarks.{name}").main(options) or status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
