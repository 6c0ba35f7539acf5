"""Dovecot asks us about a token that it gets for a password."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

PAGE = "dovecot"
AUDIENCE = "imap"
WORKER = "service|worker"
EMPTY = "INBOX (MESSAGES 0)\n"
BASE = """
base_dir = {folder}/base
state_dir = {folder}/state
listen = 127.0.0.1
protocols = imap
ssl = no
log_path = /dev/stderr
auth_failure_delay = 0
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 1
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail/%u
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
}}
!include auth.conf
"""

Read = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def dovecot(page: Any, running: Any, authority: Any, installed: Callable[[str], str]) -> Iterator[Path]:
    """Start Dovecot in a folder that its own users may enter."""
    program = installed("dovecot")
    if not Path("/usr/lib/dovecot/imap").exists():
        pytest.skip("dovecot-imapd is not installed; run: make interop-deps")
    if os.getuid():
        pytest.skip("dovecot starts processes of other users, and so only as root")
    secret = (running.folder / "imap.secret").read_text().strip()
    with TemporaryDirectory() as shown:
        folder = Path(shown)
        folder.chmod(0o755)
        (folder / "mail").mkdir()
        (folder / "mail").chmod(0o777)
        moved = {str(page.folder): shown}
        (folder / "auth.conf").write_text(page.text("auth.conf", **moved))
        asks = page.text("dovecot-oauth2.conf.ext", SECRET=secret, **moved)
        (folder / "dovecot-oauth2.conf.ext").write_text(asks)
        (folder / "dovecot.conf").write_text(BASE.format(folder=shown, port=page.port(143)))
        running.start("dovecot", program, "-F", "-c", folder / "dovecot.conf", port=page.port(143))
        yield folder
        running.stop("dovecot")


@pytest.fixture(scope="module")
def read(dovecot: Path, page: Any, running: Any) -> Read:
    """Return what the page's client says when it is given a user and a token."""
    older = {"OAUTHBEARER": "XOAUTH2", "n,a={user},": "user={user}"}
    page.write("mail.py", **older).rename(page.folder / "older.py")
    page.write("mail.py")

    def asked(token: str, user: str = WORKER, *, program: str = "mail.py") -> tuple[str, str]:
        ran = running.run(sys.executable, program, said=f"{user} {token}")
        return ran.stdout, ran.stderr

    return asked


@pytest.mark.parametrize("program", ["mail.py", "older.py"])
def test_a_service_reads_its_mail_with_its_token(read: Read, authority: Any, program: str) -> None:
    assert read(authority.token(), program=program) == (EMPTY, "")


def test_a_forged_token_is_no_login(read: Read, authority: Any, forgery: Any) -> None:
    said, why = read(authority.forge(forgery))
    assert said == ""
    assert "AUTHENTICATIONFAILED" in why


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "imap:logins"},
        {"scope": "IMAP:LOGIN"},
        {"scope": None},
        {"sub": "service|Worker"},
        {"sub": None},
        {"cnf": {"jkt": "of a key that nobody shows"}},
    ],
    ids=str,
)
def test_a_token_of_somebody_else_or_for_something_else_is_no_login(
    read: Read, authority: Any, claims: dict[str, Any]
) -> None:
    said, why = read(authority.draft().saying(**claims).signed())
    assert said == ""
    assert "AUTHENTICATIONFAILED" in why


def test_a_token_that_expired_a_second_ago_is_no_login(read: Read, authority: Any) -> None:
    draft = authority.draft()
    late = draft.saying(exp=draft.claims["iat"] - 1, iat=draft.claims["iat"] - 100).signed()
    assert read(late)[0] == ""


def test_one_among_several_scopes_will_do(read: Read, authority: Any) -> None:
    assert read(authority.draft().saying(scope="imap:other imap:login").signed())[0] == EMPTY


def test_nobody_is_somebody_else(read: Read, authority: Any) -> None:
    for user in ("john", "service|imap", "SERVICE|WORKER"):
        assert read(authority.token(), user)[0] == ""


def test_capital_letters_make_another_mailbox(read: Read, dovecot: Path, authority: Any) -> None:
    assert read(authority.draft().saying(sub="local|John").signed(), "local|John") == (EMPTY, "")
    assert (dovecot / "mail" / "local|John").is_dir()


def test_local_validation_takes_no_access_token_as_the_page_says(
    dovecot: Path, page: Any, running: Any, read: Read, authority: Any, ask: Any
) -> None:
    keys = dovecot / "keys" / "default" / "ES256"
    keys.mkdir(parents=True)
    draft = authority.draft()
    (keys / draft.key.kid).write_bytes(draft.key.public.pem())
    file = dovecot / "dovecot-oauth2.conf.ext"
    asking = file.read_text()
    file.write_text(
        f"introspection_mode = local\nlocal_validation_key_dict = fs:posix:prefix={dovecot}/keys/\n"
        "username_attribute = sub\nusername_format = %u\n"
    )
    try:
        reloaded(running, dovecot)
        assert read(draft.signed())[0] == ""
        assert read(draft.headed(typ="JWT").signed())[0] == EMPTY
    finally:
        file.write_text(asking)
        reloaded(running, dovecot)


def test_nobody_gets_in_while_the_token_service_is_away(read: Read, authority: Any, running: Any) -> None:
    token = authority.token()
    assert read(token)[0] == EMPTY
    running.stop("watchword")
    assert read(token)[0] == ""


def reloaded(running: Any, folder: Path) -> None:
    ran = running.run("doveadm", "-c", folder / "dovecot.conf", "reload")
    assert ran.returncode == 0, ran.stderr
