"""The command `watchword`."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 1 the answer is no, 2 usage or configuration."""
    try:
        import click  # noqa: F401, PLC0415  # the SDK alone does not bring it
    except ModuleNotFoundError:
        sys.stderr.write("watchword: the command line needs an extra; run: pip install 'watchword[server]'\n")
        return 2
    from watchword.cli.group import run  # noqa: PLC0415  # needs click

    return run(list(sys.argv[1:] if arguments is None else arguments))
