"""How the story is shown: in plain words for people, or one JSON object per line for programs."""

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO

from watchword.cli.output import say_json
from watchword.clock import SYSTEM_CLOCK

WIDTH = 80
_INDENT = "    "


class Screen(Protocol):
    """Where a step tells what it did and what it saw."""

    def cast(self, processes: Sequence[tuple[str, str, int | None]]) -> None:
        """Name the processes: what each is called, its URL, its process id."""
        ...

    def invite(self, text: str) -> None:
        """Say what can be tried now that the story is told."""
        ...

    def title(self, number: int, text: str) -> None:
        """Begin a step."""
        ...

    def say(self, text: str) -> None:
        """Tell something."""
        ...

    def token(self, whose: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        """Show a decoded token."""
        ...

    def verdict(self, held: bool, text: str) -> None:
        """Tell whether what was claimed is so."""
        ...

    def end(self, *, steps: int, failed: int, seconds: float) -> None:
        """Sum up."""
        ...


class PlainScreen:
    """Words at 80 columns; colours only on a terminal, never under `NO_COLOR`."""

    __slots__ = ("_colours", "_out")

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._colours = (
            self._out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        )

    def cast(self, processes: Sequence[tuple[str, str, int | None]]) -> None:
        """Name the processes."""
        self._line("Three processes on this machine, each with a key of its own:")
        for name, url, pid in processes:
            self._line(f"{_INDENT}{name:<18}{url:<24}process {pid}")

    def invite(self, text: str) -> None:
        """Say what can be tried."""
        self._line(text)

    def title(self, number: int, text: str) -> None:
        """Begin a step."""
        self._line()
        for index, part in enumerate(textwrap.wrap(text, WIDTH - 4)):
            self._line(self._paint("1", (f"{number:>2}. " if index == 0 else _INDENT) + part))

    def say(self, text: str) -> None:
        """Tell something."""
        for part in textwrap.wrap(text, WIDTH - 4, break_long_words=False, break_on_hyphens=False):
            self._line(_INDENT + part)

    def token(self, whose: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        """Show a decoded token."""
        self._line(_INDENT + self._paint("36", whose))
        for name, value in facts(header, claims).items():
            for index, part in enumerate(textwrap.wrap(value, WIDTH - 24, break_on_hyphens=False)):
                self._line(f"      {name if index == 0 else '':<16}{part}")

    def verdict(self, held: bool, text: str) -> None:
        """Tell whether what was claimed is so."""
        mark = self._paint("32", "  ok") if held else self._paint("31;1", "  NO")
        for index, part in enumerate(textwrap.wrap(text, WIDTH - 6, break_on_hyphens=False)):
            self._line(f"{mark}  {part}" if index == 0 else f"      {part}")

    def end(self, *, steps: int, failed: int, seconds: float) -> None:
        """Sum up."""
        self._line()
        if failed:
            self._line(self._paint("31;1", f"{failed} of {steps} steps did not hold ({seconds:.1f} s)"))
        else:
            self._line(self._paint("32", f"All {steps} steps held ({seconds:.1f} s)."))

    def _line(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


class JsonScreen:
    """One JSON object per step and line, and one for the end."""

    __slots__ = ("_step",)

    def __init__(self) -> None:
        self._step: dict[str, Any] = {}

    def cast(self, processes: Sequence[tuple[str, str, int | None]]) -> None:
        """Name the processes."""
        say_json({"processes": [{"name": name, "url": url, "pid": pid} for name, url, pid in processes]})

    def invite(self, text: str) -> None:
        """Say nothing: programs know what to do."""

    def title(self, number: int, text: str) -> None:
        """Begin a step."""
        self._step = {"step": number, "title": text, "said": [], "tokens": []}

    def say(self, text: str) -> None:
        """Tell something."""
        self._step["said"].append(text)

    def token(self, whose: str, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        """Show a decoded token."""
        self._step["tokens"].append({"whose": whose, "header": header, "claims": claims})

    def verdict(self, held: bool, text: str) -> None:
        """Tell whether what was claimed is so."""
        say_json(self._step | {"held": held, "verdict": text})

    def end(self, *, steps: int, failed: int, seconds: float) -> None:
        """Sum up."""
        say_json({"steps": steps, "failed": failed, "seconds": round(seconds, 3)})


def facts(header: Mapping[str, Any], claims: Mapping[str, Any]) -> dict[str, str]:
    """Return what a token says, in the words of the story."""
    left = claims["exp"] - SYSTEM_CLOCK.now()
    told = {
        "who": claims["sub"],
        "for whom": claims["aud"] if isinstance(claims["aud"], str) else ", ".join(claims["aud"]),
        "may": claims.get("scope", "nothing"),
        "roles": ", ".join(claims.get("roles", ())),
        "on behalf": " for ".join([*actors(claims), claims["sub"]]) if "act" in claims else "",
        "until": f"{_time_of_day(claims['exp'])} UTC, {_duration(left)}",
        "issued by": claims["iss"],
        "signed by key": " ".join(filter(None, [header.get("kid"), header.get("alg")])),
        "story": claims.get("txn", ""),
    }
    return {name: value for name, value in told.items() if value}


def actors(claims: Mapping[str, Any]) -> list[str]:
    """Return the actors of decoded claims, the current one first."""
    chain, actor = [], claims.get("act")
    while actor:
        chain.append(actor["sub"])
        actor = actor.get("act")
    return chain


def _duration(seconds: float) -> str:
    return f"in {seconds:.0f} s" if seconds >= 0 else f"{-seconds:.0f} s ago"


def _time_of_day(moment: float) -> str:
    minutes, seconds = divmod(int(moment) % 86_400, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
