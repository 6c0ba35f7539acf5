"""`watchword demo`: the whole story in real processes, every token decoded, every refusal explained."""

import importlib.util
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

import click

from watchword.cli.demo.process import DemoFailed
from watchword.cli.demo.records import Records
from watchword.cli.demo.screen import JsonScreen, PlainScreen, Screen
from watchword.cli.demo.story import EDITOR, READER, Story
from watchword.cli.demo.world import Ports, World
from watchword.cli.output import json_option
from watchword.server.logs import escaped

_NEEDED = {
    "uvicorn": "watchword[server]",
    "fastapi": "watchword[fastapi]",
    "flask": "watchword[flask]",
    "requests": "watchword[requests]",
    "argon2": "argon2-cffi",
}
_PORT = click.IntRange(0, 65_535)
_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
_INTERRUPTED = 130


@click.command()
@click.option("--once", is_flag=True, help="Leave after the story; exit status 1 if a step did not hold.")
@json_option
@click.option("--port", type=_PORT, default=9000, show_default=True, help="Of the token service; 0 is any.")
@click.option("--users-port", type=_PORT, default=5001, show_default=True, help="Of users-service; 0 is any.")
@click.option("--posts-port", type=_PORT, default=5002, show_default=True, help="Of posts-service; 0 is any.")
@click.option("--example", type=_FOLDER, help="Your own copy of examples/users_posts: change it and see.")
def demo(
    *, once: bool, as_json: bool, port: int, users_port: int, posts_port: int, example: Path | None
) -> None:
    """Tell the story of one token in three real processes.

    Starts the token service, users-service and posts-service on loopback, walks through what works and
    what is refused, and stays up until Ctrl-C. Nothing is left behind.
    """
    _demand_packages()
    os.umask(0o077)  # whatever it was: what is written here is for this user alone, and readable by them
    _end_in_order()
    screen: Screen = JsonScreen() if as_json else PlainScreen()
    status = _INTERRUPTED
    try:
        with World(Ports(port, users_port, posts_port), example=example) as world:
            screen.cast(
                [
                    (process.name, url, process.pid)
                    for process, url in (
                        (world.tokens, world.issuer),
                        (world.users, world.users_url),
                        (world.posts, world.posts_url),
                    )
                ]
            )
            status = 1 if Story(world, screen, Records(world)).tell() else 0
            if not once:
                screen.invite(_invitation(world))
                threading.Event().wait()
    except DemoFailed as error:
        for line in error.seen:
            click.echo(f"    {escaped(line, 500)}", err=True)
        raise click.ClickException(str(error)) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads: say nothing at exit
        status = 1
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal may be gone
            click.echo("\nwatchword: everything is stopped", err=True)
    sys.exit(status)


def _demand_packages() -> None:
    missing = [name for module, name in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        wanted = " ".join(f'"{name}"' for name in missing)
        raise click.ClickException(
            f"the demonstration needs more packages; install them: pip install {wanted}"
        )


def _end_in_order() -> None:
    """Make a termination or a hang-up of the terminal unwind like Ctrl-C: every process is stopped."""
    signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays up
        signals.append(signal.SIGHUP)

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)  # stopping is under way and must not be cut short
        raise KeyboardInterrupt(signal.Signals(number).name)

    for each in signals:
        signal.signal(each, interrupt)


def _invitation(world: World) -> str:
    sign_in = f'{{"user_id":"{READER[0]}","password":"{READER[1]}"}}'
    return f"""
Try it (the editor is {EDITOR[0]}, {EDITOR[1]}):

TOKEN=$(curl -s {world.users_url}/login -H 'Content-Type: application/json' \\
  -d '{sign_in}' \\
  | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
curl -s '{world.posts_url}/posts?size=2' -H "Authorization: Bearer $TOKEN"
curl -i {world.posts_url}/drafts -H "Authorization: Bearer $TOKEN"
curl -i {world.users_url}/users/john_doe -H "Authorization: Bearer $TOKEN"
curl -s {world.issuer}/.well-known/oauth-authorization-server
curl -s {world.users_url}/public-key

Who may call whom: {world.trust}
Logs and the audit: {world.folder}
Ctrl-C stops everything."""
