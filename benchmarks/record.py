"""`python -m benchmarks.record PAGE`: run everything, write the ratios into a page between its marks."""

import argparse
import datetime
import importlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

ORDER = ("verify", "storage", "endpoints", "audit_cost", "footprint", "growth", "middleware", "guide_pages")
BEGIN, END = "<!-- written by `python -m benchmarks.record` -->", "<!-- end -->"


def rows(seconds: float, chosen: tuple[str, ...] = ORDER) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of each benchmark, as it prints them with `--json`."""
    for name in chosen:
        print(f"== {name}", file=sys.stderr, flush=True)
        printed = io.StringIO()
        with redirect_stdout(printed):
            importlib.import_module(f"benchmarks.{name}").main(["--json", f"--seconds={seconds}"])
        yield json.loads(printed.getvalue())["rows"]


def table(found: list[dict[str, Any]]) -> str:
    """Return them as a table in Markdown, the measures in their order."""
    lines = ["| | what | ratio | smallest-largest | must be | |", "| --- | --- | ---: | ---: | ---: | --- |"]
    for row in sorted(found, key=lambda row: int(row["measure"][1:])):
        what = row["what"] + "".join(
            f", {text}"
            for text in (row.get("algorithm"), row.get("waiting") and f"{row['waiting']} waiting")
            if text
        )
        must = "" if row["must"] is None else f"{'≥' if row['at_least'] else '≤'} {row['must']:g}"
        verdict = {None: "", True: "met", False: "**missed**"}[row["held"]]
        spread = f"{_short(row['low'])}-{_short(row['high'])}"
        lines.append(
            f"| {row['measure']} | {what} | {_short(row['ratio'])} | {spread} | {must} | {verdict} |"
        )
    return "\n".join(lines)


def versions() -> str:
    """Return what was compared, in one sentence."""
    names = ("cryptography", "msgspec", "uvicorn", "uvloop", "PyJWT", "joserfc", "Authlib", "jwcrypto")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    node = json.loads((Path(__file__).parent / "package.json").read_text())["dependencies"]
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=30)
        packages += f"; Node.js {told.stdout.strip()}"
    packages += "".join(f", {name} {number}" for name, number in node.items())
    return f"CPython {platform.python_version()}, {packages}"


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.record", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per race (default: %(default)s)")
    options = parser.parse_args()
    text = options.page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    found: list[dict[str, Any]] = []
    waiting = [os.getloadavg()[0]]
    for more in rows(options.seconds):
        found += more
        waiting.append(os.getloadavg()[0])
        busy = (
            f"{max(1, round(statistics.median(waiting)))} programs wanted a processor at a time while it ran"
        )
        said = f"On {day}, on one machine with {os.cpu_count()} processors; {busy}. {versions()}."
        options.page.write_text(f"{before}{BEGIN}\n\n{said}\n\n{table(found)}\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
