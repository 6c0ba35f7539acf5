"""The token service that strangers are told to trust."""

import base64
import json
import sys
from typing import Any
from urllib.parse import urlencode

from interop.asking import ask
from interop.pages import Page
from interop.processes import Running

from watchword.app.config import ServerSettings
from watchword.app.key_places import looked_at
from watchword.testing.forgery import Draft, Forgery, forge

TRUST = """
version = 1

[services.posts]
audience      = "posts"
scopes        = ["posts:read", "posts:write"]
jwks          = { keys = [] }

[[services.posts.allow]]
caller        = "worker"
scopes        = ["posts:read"]
on_behalf_of  = "service"

[services.worker]
audience      = "worker"
secret_sha256 = ["…"]
"""


class Authority:
    """A running token service, and tokens of it: genuine ones by its endpoint, forged ones by its own key."""

    def __init__(self, page: Page, running: Running, audience: str) -> None:
        self.url = page.url(9000)
        self._audience = audience
        self._folder = running.folder
        settings = {"WATCHWORD_ISSUER": self.url, "WATCHWORD_TRUST": "trust.toml"}
        trust = page.text("trust.toml") if "trust.toml" in page.titles else TRUST
        (running.folder / "trust.toml").write_text(registered(trust, running))
        self._settings = ServerSettings.load(settings, folder=running.folder)
        running.start(
            "watchword", sys.executable, "-m", "watchword", "serve", "--json",
            port=page.port(9000), **settings,
        )  # fmt: skip

    def token(self, client: str = "worker") -> str:
        form = urlencode({"grant_type": "client_credentials", "audience": self._audience}).encode()
        secret = (self._folder / f"{client}.secret").read_text().strip()
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        answer = ask(f"{self.url}/token", data=form, Authorization=f"Basic {basic}")
        assert answer.status == 200, answer.body
        return str(answer.json()["access_token"])

    def draft(self) -> Draft:
        """Return a genuine token taken apart, with the key that signed it."""
        parts = self.token().split(".")[:2]
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in parts)
        return Draft(header, claims, looked_at(self._settings).load().active.key)

    def forge(self, kind: Forgery, **claims: Any) -> str:
        draft = self.draft().saying(**claims)
        return forge(kind, draft, draft.key.public.pem())


def registered(trust: str, running: Running) -> str:
    """Do as a reader does: make a secret or a key for each client, put the printed line where `…` stands."""
    lines, client = [], ""
    for line in trust.splitlines():
        client = line[10:-1] if line.startswith("[services.") else client
        if "…" in line:
            kind = "secret" if line.startswith("secret_sha256") else "key"
            command = ("clients", f"new-{kind}", "--client-id", client, "--out", f"{client}.{kind}")
            made = running.run(sys.executable, "-m", "watchword", *command)
            assert made.returncode == 0, made.stderr
            lines.append(made.stdout.splitlines()[-1])
        else:
            lines.append(line)
    return "\n".join(lines)
