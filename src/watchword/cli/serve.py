"""`watchword serve`: run the token service."""

import contextlib
import os
import sys
from pathlib import Path

import click

from watchword.cli.output import json_option, say, say_json
from watchword.errors import ConfigurationError


@click.command()
@json_option
@click.option("--tls-cert", metavar="FILE", help="Certificate chain in PEM; like WATCHWORD_TLS_CERT.")
@click.option("--tls-key", metavar="FILE", help="Its private key in PEM; like WATCHWORD_TLS_KEY.")
@click.option(
    "--workers", metavar="N", help="Processes that answer requests, 1 by default; like WATCHWORD_WORKERS."
)
def serve(*, as_json: bool, tls_cert: str | None, tls_key: str | None, workers: str | None) -> None:
    """Run the token service until SIGTERM or Ctrl-C.

    Settings come from WATCHWORD_... in the environment and from watchword.toml in this folder; the only one
    that has no default is WATCHWORD_ISSUER, the URL of the service. Logs go to stderr as JSON.
    """
    try:
        from watchword.app.run import run  # noqa: PLC0415  # loads what the SDK alone does not bring
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("watchword"):
            raise
        raise ConfigurationError(
            f"the token service needs {error.name}, which an extra brings: pip install 'watchword[server]'"
        ) from None
    from watchword.app.config import ServerSettings  # noqa: PLC0415
    from watchword.app.sealing import leave_environment  # noqa: PLC0415

    environ = dict(os.environ)
    given = {"TLS_CERT": tls_cert, "TLS_KEY": tls_key, "WORKERS": workers}
    for name, value in given.items():
        if value is not None:
            environ.pop(f"WATCHWORD_{name}_FILE", None)
            environ[f"WATCHWORD_{name}"] = value
    settings = ServerSettings.load(environ, folder=Path.cwd())
    leave_environment(settings.seal, sys.orig_argv, sys.executable)
    scheme = "http" if settings.tls is None else "https"

    def ready(address: object) -> None:
        with contextlib.suppress(OSError):  # nobody reads it: no reason not to serve
            if as_json:
                say_json({"ready": True, "address": str(address), "issuer": settings.issuer})
            else:
                say(f"watchword: ready at {scheme}://{address}, issuer {settings.issuer}; Ctrl-C stops it")

    run(settings, on_ready=ready)
