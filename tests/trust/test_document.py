"""What a faultless document means."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watchword.errors import TrustError
from watchword.trust.document import EMPTY, MAX_DOCUMENT, digest, from_json, parse, read, to_json
from watchword.trust.model import TrustDocument

from .conftest import POSTS, RULE, STAFF, USERS, WHOLE, inline

ReadText = Callable[[str], TrustDocument]


def test_the_example_of_the_reference_page_reads_as_it_says(read_text: ReadText) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "trust-document.md").read_text()
    trust = read_text(page.split("```toml\n")[1].split("```")[0])
    (rule,) = trust.services["users"].allow
    assert (rule.name, rule.caller, rule.on_behalf_of) == ("services.users.allow[0]", "posts", "person")
    assert rule.scopes == {"users:read"}
    assert rule.when_subject_has == {"posts:read"}
    assert (rule.max_chain, rule.lifetime, rule.act_as) == (3, 120, "actor")
    assert trust.issuers["staff"].token_types == {"jwt"}


def test_every_default_is_the_documented_one(read_text: ReadText) -> None:
    trust = read_text(WHOLE)
    (rule,) = trust.services["users"].allow
    assert (rule.when_subject_has, rule.max_chain, rule.lifetime, rule.act_as) == (None, 8, 120, "actor")
    posts = trust.services["posts"]
    assert (posts.claims, posts.jwks, posts.jwks_uri, posts.allow) == (frozenset(), None, None, ())
    staff = trust.issuers["staff"]
    assert staff.token_types == {"at+jwt"}
    assert staff.subject_token_types == {"access_token", "jwt"}
    assert (staff.default_scopes, staff.roles, staff.scope_claim) == (frozenset(), frozenset(), "scope")
    assert (dict(staff.audiences), dict(staff.claims), dict(staff.require)) == ({}, {}, {})


def test_the_table_is_the_client_id_and_the_audience_may_differ(read_text: ReadText) -> None:
    trust = read_text(WHOLE)
    found = trust.by_audience("posts-api")
    assert found is not None
    assert found.client_id == "posts"
    assert trust.by_audience("posts") is None


def test_an_issuer_may_map_demand_and_cap(read_text: ReadText) -> None:
    trust = read_text(
        USERS
        + POSTS
        + STAFF
        + """
token_types = ["application/JWT", "at+jwt"]
subject_token_types = ["id_token"]
default_scopes = ["posts:read"]
scope_claim = "permissions"
roles = ["editor"]
audiences = { "https://api.staff.example" = "posts" }
claims = { roles = "realm_access.roles", email = "https://staff.example/email" }
require = { email_verified = true, level = 2, hd = "staff.example" }
"""
    )
    staff = trust.issuers["staff"]
    assert staff.token_types == {"jwt", "at+jwt"}
    assert staff.audiences == {"https://api.staff.example": "posts"}
    assert staff.claims["roles"] == "realm_access.roles"
    assert staff.require == {"email_verified": True, "level": 2, "hd": "staff.example"}
    assert staff.require["email_verified"] is True


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1), ("90s", 90), ("2m", 120), ("5m", 300), ("300s", 300)]
)
def test_a_lifetime_is_written_as_people_say_it(read_text: ReadText, text: str, seconds: int) -> None:
    trust = read_text(USERS + RULE + f'lifetime = "{text}"\n' + POSTS)
    assert trust.services["users"].allow[0].lifetime == seconds


def test_a_key_file_is_found_beside_the_document_and_ends_up_inside_it(
    tmp_path: Path, jwk: dict[str, Any]
) -> None:
    folder = tmp_path / "deployed"
    folder.mkdir()
    (folder / "users.jwks.json").write_text(json.dumps({"keys": [jwk]}))
    (folder / "trust.toml").write_text(
        USERS.replace("jwks     = { keys = [] }", 'jwks_file = "users.jwks.json"')
    )
    trust = read(folder / "trust.toml")
    assert trust.services["users"].jwks is not None
    assert jwk["kid"] in trust.services["users"].jwks
    written = to_json(trust)
    (folder / "users.jwks.json").unlink()
    again = from_json(written).services["users"].jwks
    assert again is not None
    assert again.to_dict() == {"keys": [jwk]}


def test_a_key_in_the_document_and_one_in_a_file_are_one_document(
    tmp_path: Path, jwk: dict[str, Any]
) -> None:
    (tmp_path / "users.jwks.json").write_text(json.dumps({"keys": [jwk]}, indent=2))
    inside = USERS.replace("keys = []", f"keys = [{inline(jwk)}]")
    beside = USERS.replace("jwks     = { keys = [] }", 'jwks_file = "users.jwks.json"')
    assert digest(parse(inside, folder=tmp_path)) == digest(parse(beside, folder=tmp_path))


def test_the_digest_is_of_what_a_document_says_not_of_how_it_is_written(read_text: ReadText) -> None:
    one = read_text(USERS + RULE + POSTS + STAFF)
    other = read_text(
        "# the same\n"
        + USERS
        + POSTS.replace('"posts-api"', "'posts-api'")
        + STAFF
        + "default_scopes = []\n"
        + RULE
        + 'lifetime = "120s"\nmax_chain = 8\n'
    )
    assert to_json(one) == to_json(other)
    assert digest(one) == digest(other) == hashlib.sha256(to_json(one)).hexdigest()
    assert digest(one) != digest(read_text(USERS + RULE + 'lifetime = "121s"\n' + POSTS + STAFF))


def test_the_order_within_a_list_says_nothing_except_for_rules(read_text: ReadText) -> None:
    swapped = WHOLE.replace('["users:read", "users:write"]', '["users:write", "users:read"]')
    assert digest(read_text(WHOLE)) == digest(read_text(swapped))
    old, new = "1" * 64, "2" * 64
    changing = [POSTS.replace('["5f', f'["{one}", "{other}"]\n#') for one, other in ((old, new), (new, old))]
    assert digest(read_text(USERS + changing[0])) == digest(read_text(USERS + changing[1]))
    later = "version = 1\n" + STAFF + POSTS + USERS.replace("version = 1", "") + RULE
    assert digest(read_text(later)) == digest(read_text(WHOLE))
    write = RULE.replace("users:read", "users:write")
    assert digest(read_text(USERS + RULE + write + POSTS)) != digest(read_text(USERS + write + RULE + POSTS))


def test_what_was_written_is_read_again_and_written_the_same(
    read_text: ReadText, jwk: dict[str, Any]
) -> None:
    trust = read_text(WHOLE.replace("keys = []", f"keys = [{inline(jwk)}]"))
    again = from_json(to_json(trust))
    assert to_json(again) == to_json(trust)
    assert again.services["users"].allow == trust.services["users"].allow
    assert again.issuers == trust.issuers
    assert b"jwks_file" not in to_json(trust)
    assert from_json(to_json(EMPTY)) == EMPTY


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'{"version":1,"version":1}',
        b'{"version":1,"sevices":{}}',
        b'{"version":true}',
        b"{}",
    ],
)
def test_a_stored_document_is_checked_like_any_other(text: bytes) -> None:
    with pytest.raises(TrustError):
        from_json(text)


def test_a_stored_document_never_points_to_a_file() -> None:
    stored = b'{"version":1,"services":{"a":{"audience":"a","jwks_file":"/etc/passwd"}}}'
    with pytest.raises(TrustError, match=r"services\.a\.jwks_file: expected jwks"):
        from_json(stored)


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "trust.toml"
    path.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert set(read(path).services) == {"users", "posts"}


def test_a_document_that_is_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match=r"trust\.toml: expected a readable file: no such file"):
        read(tmp_path / "trust.toml")
    with pytest.raises(TrustError, match="expected a file, found a folder"):
        read(tmp_path)


def test_a_document_that_is_not_utf_8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "trust.toml"
    path.write_bytes(b"version = 1\n# caf\xe9\n")
    with pytest.raises(TrustError, match="line 2: expected UTF-8"):
        read(path)


def test_a_document_beyond_the_limit_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "trust.toml"
    with path.open("wb") as file:
        file.truncate(50 * MAX_DOCUMENT)  # sparse: nobody could hold it in memory
    with pytest.raises(TrustError, match="at most 16 MiB"):
        read(path)
