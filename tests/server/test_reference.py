"""The page about the endpoints says what the code says."""

import re
import socket
from pathlib import Path

from watchword.app.config import ServerSettings
from watchword.server import limits
from watchword.server.metrics import codes
from watchword.server.routes import table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "endpoints.md").read_text()


class Anything:
    def __getattr__(self, name):
        return name


def routes(issuer):
    anything = Anything()
    return table(issuer, token=anything, introspect=anything, published=anything, ready=anything)


def test_the_page_lists_exactly_the_routes_that_exist():
    documented = re.findall(r"^\| `(GET|POST)` \| `(\S+)` \|", PAGE, re.MULTILINE)
    assert documented == [(route.method, path.decode()) for path, route in routes("https://a").items()]


def test_the_page_tells_the_real_bounds():
    told = dict(re.findall(r"^\| ([a-z ]+) \| (\d+[^|]*?) \|", PAGE, re.MULTILINE))
    assert told == {
        "body": f"{limits.MAX_BODY} bytes",
        "parameters": f"{limits.MAX_FIELDS}",
        "header": f"{limits.MAX_HEADER_BYTES} bytes, {limits.MAX_HEADER_FIELDS} fields",
        "time for the header": f"{limits.HEADER_SECONDS:g} s",
        "time for the body": f"{limits.BODY_SECONDS:g} s",
        "idle connection": f"{limits.KEEP_ALIVE_SECONDS} s",
    }


def test_below_a_path_the_metadata_stands_where_rfc_8414_puts_it():
    paths = {path.decode() for path in routes("https://a/auth/main")}
    assert "/.well-known/oauth-authorization-server/auth/main" in paths
    assert {"/auth/main/token", "/auth/main/.well-known/jwks.json", "/health/ready"} <= paths


HOW_TO = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "run-in-production.md").read_text()


def families(served) -> set[str]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(served.folder / "watchword-data" / "admin.sock"))
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        page = served.read_reply(connection).body.decode()
    with_more = {
        "watchword_audit_log_silent_seconds",
        "watchword_tls_certificate_ends_seconds",
        "watchword_workers",
    }
    return set(re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE)) | with_more


def test_the_page_lists_exactly_the_metrics_that_exist(server):
    listed = re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram) \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(families(server))


def test_alerts_look_at_metrics_and_codes_that_exist(server):
    named = set(
        re.findall(r"\b(?:watchword|process)_\w+", HOW_TO.partition("```yaml")[2].partition("```")[0])
    )
    assert {name.removesuffix("_bucket") for name in named} <= families(server)
    assert set(re.findall(r'code="(\w+)"', HOW_TO)) <= codes()


def test_the_settings_of_the_guide_are_settings(tmp_path):
    (tmp_path / "watchword.toml").write_text(HOW_TO.partition("```toml")[2].partition("```")[0])
    (tmp_path / "trust.toml").write_text("version = 1\n")
    settings = ServerSettings.load({}, folder=tmp_path)
    assert (settings.rate_per_address, str(settings.metrics_listen)) == (None, "127.0.0.1:9001")
    assert settings.warnings == ()
