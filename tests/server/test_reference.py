"""The page about the endpoints says what the code says."""

import re
from pathlib import Path

from watchword.server import limits
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
