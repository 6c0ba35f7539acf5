"""A how-to page as a test runs it."""

import re
import socket
from contextlib import ExitStack
from pathlib import Path

PAGES = Path(__file__).resolve().parents[1] / "docs" / "how-to"
PROGRAMS = ("haproxy", "nginx", "prometheus", "envoy", "apache2", "rabbitmq", "dovecot")
BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
PORT = re.compile(r'(?<=127\.0\.0\.1:)\d+|(?<=\.listen\()\d+|(?<=port_value: )\d+|(?<="127\.0\.0\.1", )\d+')


class Page:
    """A how-to page, its addresses moved to free ports."""

    def __init__(self, name: str, folder: Path) -> None:
        self.folder = folder
        text = (PAGES / f"{name}.md").read_text()
        self._ports = free_ports({"9000", "5003", "5004", *PORT.findall(text)})
        self._files = dict(BLOCK.findall(text))
        self.titles = set(self._files)
        self.folders = {f"/etc/{program}/": f"{folder}/" for program in PROGRAMS}

    def url(self, port: int) -> str:
        return f"http://127.0.0.1:{self.port(port)}"

    def port(self, port: int) -> int:
        return int(self._ports[str(port)])

    def text(self, title: str, **replaced: str) -> str:
        text = PORT.sub(lambda port: self._ports[port[0]], self._files[title])
        for here, there in {**self.folders, **replaced}.items():
            text = text.replace(here, there)
        return text

    def write(self, title: str, **replaced: str) -> Path:
        path = self.folder / title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(title, **replaced))
        return path


def free_ports(names: set[str]) -> dict[str, str]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: str(probe.getsockname()[1]) for name, probe in zip(names, probes, strict=True)}
