"""Settings of the server: every mistake at once, each with what was expected and what was found."""

import ipaddress
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.app.config import ServerSettings
from watchword.app.setting_values import Address, address, duration, issuer
from watchword.app.settings_table import SETTINGS
from watchword.errors import ConfigurationError

ISSUER = "http://127.0.0.1:9000"


def load(folder: Path, toml: str = "", **settings: str) -> ServerSettings:
    if toml:
        (folder / "watchword.toml").write_text(toml)
    return ServerSettings.load({f"WATCHWORD_{name}": text for name, text in settings.items()}, folder=folder)


def problems(folder: Path, toml: str = "", **settings: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, toml, **settings)
    return caught.value.problems


def test_the_issuers_url_is_all_that_is_needed(tmp_path):
    settings = load(tmp_path, ISSUER=ISSUER)
    assert settings == ServerSettings(
        issuer=ISSUER,
        database=tmp_path / "watchword-data" / "watchword.db",
        keys="database:",
        listen=Address("127.0.0.1", 9000),
    )
    assert (settings.rotation.algorithm, settings.leeway, settings.trust) == ("ES256", 5, None)
    assert list(tmp_path.iterdir()) == []


def test_every_mistake_is_told_at_once(tmp_path):
    wrong = {
        "ISSUER": "http://tokens.example/",
        "LISTEN": "9000",
        "LEEWAY": "2h",
        "KEYS": "aws:x",
        "TRUST": "missing.toml",
        "DATABASE": "postgresql://u:p4ssword@db/x",
        "SIGNING_ALGORITHM": "HS256",
        "CA_FILE": ".",
    }
    found = problems(tmp_path, **wrong)
    names = {re.match(r"WATCHWORD_(\w+): expected", problem)[1] for problem in found}
    assert names == wrong.keys()
    assert "p4ssword" not in " ".join(found)


@pytest.mark.parametrize(
    "text",
    ["tokens.example", "http://tokens.example", "https://tokens.example/", "https://tokens.example/?a=b",
     "https://tokens.example#x", "https://user:pw@tokens.example", "ftp://tokens.example", "https://a/b/../c",
     "https://a//b", "https://a/%61", "https://tökens.example", "https://", "", "https://a b", "http://127.0.0.1/",
     "https://a?", "https://a\\b", "https://a:99999"],
)  # fmt: skip
def test_an_issuer_that_nobody_could_compare_byte_for_byte_is_refused(tmp_path, text):
    (problem,) = problems(tmp_path, ISSUER=text)
    assert problem.startswith("WATCHWORD_ISSUER: expected ")
    assert "pw" not in problem


@pytest.mark.parametrize(
    "text",
    [
        "https://tokens.example",
        "https://Tokens.example:8443/realms/x",
        "http://[::1]:9000",
        "http://localhost:9000",
    ],
)
def test_an_issuer_is_kept_byte_for_byte(text):
    assert issuer(text) == text


@pytest.mark.parametrize(
    ("url", "listen"),
    [
        ("http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("http://localhost:9000", "127.0.0.1:9000"),
        ("http://[::1]:9000", "[::1]:9000"),
        ("https://tokens.example", "127.0.0.1:443"),
        ("https://tokens.example:8443", "127.0.0.1:8443"),
    ],
)
def test_it_listens_on_loopback_at_the_issuers_port(tmp_path, url, listen):
    assert str(load(tmp_path, ISSUER=url).listen) == listen


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_an_address_is_read_as_it_is_written(ip, port):
    written = Address(ip.compressed, port)
    assert address(str(written)) == written
    assert ipaddress.ip_address(written.host) == ip


@pytest.mark.parametrize(
    "text", ["9000", ":9000", "::1:9000", "[::1]", "[x]:1", "a:b", "a:70000", "a:-1", "a b:1", "a:1 "]
)
def test_an_address_that_can_be_misread_is_refused(text):
    with pytest.raises(ValueError, match=r"^expected "):
        address(text)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("5", 5), ("5s", 5), ("1m", 60), ("2.5s", 2.5)])
def test_a_duration_has_a_unit_or_is_in_seconds(text, seconds):
    assert duration(text, longest=60) == seconds


@pytest.mark.parametrize("text", ["-1", "61", "2m", "1e1", "5 minutes", "nan", "٥", ""])
def test_a_duration_that_cannot_be_meant_is_refused(text):
    with pytest.raises(ValueError, match=r"^expected 0 to 60 seconds"):
        duration(text, longest=60)


def test_a_file_says_what_the_environment_does_not(tmp_path):
    toml = f'issuer = "{ISSUER}"\nleeway = 3\nlisten = "127.0.0.1:1"\naudience = "posts"\nurl_users = "http://localhost"'
    settings = load(tmp_path, toml, LISTEN="127.0.0.1:2")
    assert (settings.issuer, settings.leeway, settings.listen.port) == (ISSUER, 3, 2)


def test_each_setting_may_stand_in_a_file_of_its_own(tmp_path):
    (tmp_path / "issuer").write_text(f"{ISSUER}\n")
    assert load(tmp_path, ISSUER_FILE="issuer").issuer == ISSUER
    assert load(tmp_path, 'issuer_file = "issuer"').issuer == ISSUER


def test_a_setting_in_two_places_is_refused(tmp_path):
    (tmp_path / "issuer").write_text(ISSUER)
    (problem,) = problems(tmp_path, ISSUER=ISSUER, ISSUER_FILE="issuer")
    assert problem == "WATCHWORD_ISSUER: expected it once, found WATCHWORD_ISSUER_FILE too"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    assert any(
        "WATCHWORD_ISSUER_FILE: expected a readable" in line
        for line in problems(tmp_path, ISSUER_FILE="gone")
    )
    assert problems(tmp_path, "issuer = ", ISSUER=ISSUER)[0].startswith("watchword.toml: expected TOML")


def test_audit_events_are_kept_for_400_days_or_as_long_as_is_said_or_for_ever(tmp_path):
    assert load(tmp_path, ISSUER=ISSUER).audit_retention == 400 * 86_400
    assert load(tmp_path, ISSUER=ISSUER, AUDIT_RETENTION="30d").audit_retention == 30 * 86_400
    assert load(tmp_path, ISSUER=ISSUER, AUDIT_RETENTION="0").audit_retention is None


def test_the_audit_log_is_a_file_or_stderr_and_tokens_wait_for_it_unless_it_is_said(tmp_path):
    assert load(tmp_path, ISSUER=ISSUER).audit_log is None
    found = load(tmp_path, ISSUER=ISSUER, AUDIT_LOG="a.jsonl")
    assert (found.audit_log, found.audit_log_full) == (tmp_path / "a.jsonl", "refuse")
    found = load(tmp_path, ISSUER=ISSUER, AUDIT_LOG="-", AUDIT_LOG_FULL="issue")
    assert (found.audit_log, found.audit_log_full) == ("-", "issue")
    for name, value, text in (
        ("AUDIT_LOG", ".", "expected a file, or - for stderr"),
        ("AUDIT_LOG", "gone/a.jsonl", "expected a file in a folder that exists"),
        ("AUDIT_LOG_FULL", "drop", "expected refuse or issue, found 'drop'"),
    ):
        (problem,) = problems(tmp_path, ISSUER=ISSUER, **{name: value})
        assert problem.startswith(f"WATCHWORD_{name}: {text}")


def test_settings_in_which_a_key_would_sign_before_verifiers_have_it_are_refused(tmp_path):
    (problem,) = problems(tmp_path, ISSUER=ISSUER, KEY_ACTIVE_FOR="30m", KEY_CACHED_FOR="1h")
    assert problem.startswith("WATCHWORD_KEY_ACTIVE_FOR: expected more than 3900 s, found 1800")
    rotation = load(tmp_path, ISSUER=ISSUER, KEY_ACTIVE_FOR="90d", CLOCK_SKEW="0").rotation
    assert (rotation.active_for, rotation.cached_for, rotation.skew) == (90 * 86_400, 3_600, 0)


@pytest.mark.parametrize(
    ("typo", "meant"), [("ISUER", "ISSUER"), ("DATABSE", "DATABASE"), ("TRUSTED_ISSUER", "TRUSTED_ISSUERS")]
)
def test_a_typing_mistake_is_guessed(tmp_path, typo, meant):
    found = problems(tmp_path, **{"ISSUER": ISSUER, typo: "x"})
    assert found == (f"WATCHWORD_{typo}: there is no such setting; did you mean WATCHWORD_{meant}?",)
    found = problems(tmp_path, f'{typo.lower()} = "x"', ISSUER=ISSUER)
    assert found == (
        f"watchword.toml: {typo.lower()}: there is no such setting; did you mean {meant.lower()}?",
    )


def test_an_unknown_name_in_the_file_is_refused_and_one_in_the_environment_is_told(tmp_path):
    assert load(tmp_path, ISSUER=ISSUER, FAVOURITE_COLOUR="red").warnings
    assert problems(tmp_path, "favourite_colour = 'red'", ISSUER=ISSUER)


def test_a_service_may_share_the_environment_and_so_may_kubernetes(tmp_path):
    of_services = {
        "AUDIENCE": "posts",
        "CLIENT_ID": "posts",
        "CLIENT_KEY_FILE": "key.pem",
        "CLIENT_SECRET_FILE": "secret",
        "URL_USERS": "http://localhost",
        "TRUSTED_ISSUERS": "staff=https://staff.example",
        "INSECURE_HTTP_HOSTS": "users",
        "JWKS_MAX_AGE": "1m",
    }
    of_kubernetes = {
        "PORT": "tcp://10.0.0.1:9000",
        "PORT_9000_TCP": "tcp://10.0.0.1:9000",
        "SERVICE_HOST": "10.0.0.1",
    }
    settings = load(tmp_path, ISSUER=ISSUER, DEBUG="1", **of_services, **of_kubernetes)
    assert settings.warnings == ()


def test_the_reference_page_lists_exactly_the_settings_that_exist():
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md").read_text()
    server = page.partition("## The token service")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", server, re.MULTILINE)
    assert [(name, default) for name, default, _ in rows] == [
        (s.name, f"`{s.default}`" if s.default else "") for s in SETTINGS
    ]


def test_the_reference_page_lists_exactly_the_settings_of_a_service():
    from watchword.service import settings as service

    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "settings.md").read_text()
    sdk = page.partition("## A service")[2].partition("\n## ")[0]
    names = set(re.findall(r"^\| `([A-Z_<>]+)` \|", sdk, re.MULTILINE))
    assert names == {*service._NAMES, "URL_<CALLEE>"}


def test_a_rate_is_a_number_a_second_and_a_burst_and_0_is_no_limit(tmp_path):
    assert load(tmp_path, ISSUER=ISSUER).rate_per_client == (200, 1_000)
    assert load(tmp_path, ISSUER=ISSUER).rate_per_address == (1_000, 2_000)
    settings = load(tmp_path, "rate_per_address = 50", ISSUER=ISSUER, RATE_PER_CLIENT="0.5/3")
    assert (settings.rate_per_client, settings.rate_per_address) == ((0.5, 3), (50, 100))
    settings = load(tmp_path, "rate_per_address = 0", ISSUER=ISSUER, RATE_PER_CLIENT="0/10")
    assert (settings.rate_per_client, settings.rate_per_address) == (None, None)


@pytest.mark.parametrize("text", ["-1", "fast", "10/", "/10", "10/0", "10/1.5", "1e3", "10 / 20", "1/2/3"])
def test_what_is_no_rate_is_told(tmp_path, text):
    (problem,) = problems(tmp_path, ISSUER=ISSUER, RATE_PER_ADDRESS=text)
    assert problem.startswith("WATCHWORD_RATE_PER_ADDRESS: expected requests per second and a burst")


def test_tls_under_an_issuer_without_it_is_strange_and_told(tmp_path):
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    pair = {"TLS_CERT": "cert.pem", "TLS_KEY": "key.pem"}
    assert load(tmp_path, ISSUER="https://tokens.example", **pair).tls == tuple(
        tmp_path / name for name in ("cert.pem", "key.pem")
    )
    assert "expected an ISSUER with https" in load(tmp_path, ISSUER=ISSUER, **pair).warnings[0]
