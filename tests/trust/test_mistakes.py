"""Every mistake of a trust document at once, each with its place, what was expected and what was found."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from watchword.errors import TrustError
from watchword.trust.document import parse

from .conftest import POSTS, RULE, STAFF, USERS, WHOLE, inline

Problems = Callable[[str], tuple[str, ...]]

pytestmark = pytest.mark.threat(246)


def test_every_mistake_is_told_at_once_with_its_table_and_key(
    problems: Problems, jwk: dict[str, Any]
) -> None:
    nameless = {name: value for name, value in jwk.items() if name != "kid"}
    found = problems(
        USERS.replace("version = 1", "version = 2\ntypo = true").replace(
            "keys = []", f"keys = [{inline(nameless)}]"
        )
        + RULE.replace('"posts"', '"post"').replace("users:read", "users:raed")
        + 'lifetime = "6m"\nmax_chain = 9\nwhen_subject_has = []\n'
        + POSTS.replace("posts-api", "users").replace(":5002/", ":5001/")
        + STAFF.replace("RS256", "HS256")
        + STAFF.replace("issuers.staff", "issuers.other")
    )
    told = {problem.partition(": ")[0] for problem in found}
    assert told == {
        "typo",
        "version",
        "services.users.jwks.keys[0].kid",
        "services.users.allow[0].caller",
        "services.users.allow[0].scopes",
        "services.users.allow[0].lifetime",
        "services.users.allow[0].max_chain",
        "services.users.allow[0].when_subject_has",
        "services.posts.audience",
        "services.posts.url",
        "issuers.staff.algorithms[0]",
        "issuers.other.issuer",
    }
    assert len(found) == len(told)


MISTAKES = {
    "unknown key at the top": (
        WHOLE.replace("version = 1", "version = 1\nservises = 1"),
        "servises: unknown key, did you mean services?",
    ),
    "unknown key of a service": (
        USERS + 'audiense = "x"\n',
        "services.users.audiense: unknown key, did you mean audience?",
    ),
    "unknown key of a rule": (
        USERS + RULE + "lifetme = 1\n" + POSTS,
        "services.users.allow[0].lifetme: unknown key, did you mean lifetime?",
    ),
    "unknown key of an issuer": (
        STAFF + "zzz = 1\nversion = 1",
        "issuers.staff.zzz: unknown key; known are issuer, ",
    ),
    "no version": (USERS.replace("version = 1", ""), "version: expected 1, found nothing"),
    "another version": (USERS.replace("version = 1", "version = 2"), "version: expected 1, found 2"),
    "a version that is true": (
        USERS.replace("version = 1", "version = true"),
        "version: expected 1, found true",
    ),
    "services that are a number": (
        "version = 1\nservices = 3",
        "services: expected tables [services.<client_id>], found 3",
    ),
    "a service that is a text": (
        'version = 1\n[services]\nusers = "x"',
        "services.users: expected a table [services.users], found 'x'",
    ),
    "issuers in an array": (
        "version = 1\n[[issuers]]",
        "issuers: expected tables [issuers.<alias>], found an array",
    ),
    "a client_id with a blank": (
        USERS.replace("services.users", 'services."a b"'),
        'services."a b": expected a client_id of 1 to 128 letters',
    ),
    "two services with one audience": (
        USERS + POSTS.replace("posts-api", "users"),
        "services.posts.audience: expected one of its own, found the same as services.users",
    ),
    "two services with one url but for a slash": (
        USERS + POSTS.replace(":5002/", ":5001/"),
        "services.posts.url: expected one of its own, found the same as services.users",
    ),
    "an audience that is no text": (
        USERS.replace('"users"\n', "7\n"),
        "services.users.audience: expected a text of 1 to 255 characters, found 7",
    ),
    "an empty audience": (
        USERS.replace('"users"\n', '""\n'),
        "services.users.audience: expected a text of 1 to 255 characters, found ''",
    ),
    "an audience with a line break": (
        USERS.replace('"users"\n', '"a\\nb"\n'),
        "services.users.audience: expected printable characters",
    ),
    "no audience": (
        USERS.replace('audience = "users"', ""),
        "services.users.audience: expected a text, found nothing",
    ),
    "a url that is not http": (
        USERS.replace("http://127.0.0.1:5001", "ftp://x"),
        "services.users.url: expected an http or https URL",
    ),
    "a url with a user": (
        USERS.replace("http://127", "http://me:hunter2@127"),
        "services.users.url: expected an absolute http or https URL in ASCII, without userinfo",
    ),
    "a url with a query": (
        USERS.replace(":5001", ":5001/?a=b"),
        "services.users.url: expected an http or https URL without user, query",
    ),
    "a url with a port beyond all": (
        USERS.replace(":5001", ":70000"),
        "services.users.url: expected a port from 1 to 65535, found 70000",
    ),
    "scopes in one text": (
        USERS.replace('["users:read", "users:write"]', '"users:read"'),
        "services.users.scopes: expected an array of scopes, found 'users:read'",
    ),
    "a scope with a blank": (
        USERS.replace("users:write", "a b"),
        "services.users.scopes[1]: expected a scope: visible ASCII",
    ),
    "a scope with a quote": (
        USERS.replace("users:write", 'a\\"b'),
        "services.users.scopes[1]: expected a scope: visible ASCII",
    ),
    "an empty scope": (
        USERS.replace("users:write", ""),
        "services.users.scopes[1]: expected a scope: visible ASCII",
    ),
    "a scope twice": (
        USERS.replace("users:write", "users:read"),
        "services.users.scopes[1]: the same entry stands here twice",
    ),
    "a scope that is a date": (
        USERS.replace('"users:write"', "2026-11-24"),
        "services.users.scopes[1]: expected a scope: visible ASCII without blank, quote and backslash "
        "(RFC 6749 §3.3), found a date or time",
    ),
    "two methods of authentication": (
        POSTS + 'jwks_uri = "https://posts.example/jwks"\nversion = 1',
        "services.posts: expected at most one of jwks, jwks_file, jwks_uri, secret_sha256"
        ", found jwks_uri, secret_sha256",
    ),
    "plain http for keys": (
        USERS.replace("jwks     = { keys = [] }", 'jwks_uri = "http://users.example/jwks"'),
        "services.users.jwks_uri: expected an https URL (http on loopback only)",
    ),
    "three secrets": (
        POSTS.replace('["5f', '["", "", "5f'),
        "services.posts.secret_sha256: expected an array of one or two SHA-256",
    ),
    "the digest of nothing": (
        POSTS.replace(
            "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        "services.posts.secret_sha256[0]: expected the SHA-256 of a secret, found that of an empty text",
    ),
    "a key set that is an array": (
        USERS.replace("{ keys = [] }", "[]"),
        "services.users.jwks: expected a JWK Set: { keys = [...] } (RFC 7517 §5), found an empty array",
    ),
    "a key that is a text": (
        USERS.replace("keys = []", 'keys = ["x"]'),
        "services.users.jwks.keys[0]: expected a JWK, found 'x'",
    ),
    "a key file that is not there": (
        USERS.replace("jwks     = { keys = [] }", 'jwks_file = "nowhere.json"'),
        "services.users.jwks_file: expected a file with a JWK Set in the folder of the document, found none",
    ),
    "rules in one table": (
        USERS + RULE.replace("[[", "[").replace("]]", "]"),
        "services.users.allow: expected an array of tables [[services.users.allow]], found a table",
    ),
    "a rule for a missing service": (
        USERS + RULE.replace('"posts"', '"post"') + POSTS,
        "services.users.allow[0].caller: expected the client_id of a service of this document"
        ", found 'post', did you mean posts?",
    ),
    "a rule with a scope of nobody": (
        USERS + RULE.replace("users:read", "users:raed") + POSTS,
        "services.users.allow[0].scopes: expected scopes of services.users"
        ", found 'users:raed', did you mean \"users:read\"?",
    ),
    "a rule without on_behalf_of": (
        USERS + RULE.replace('on_behalf_of = "person"', "") + POSTS,
        'services.users.allow[0].on_behalf_of: expected "person", "service" or "any", found nothing',
    ),
    "a rule on behalf of all": (
        USERS + RULE.replace('"person"', '"everyone"') + POSTS,
        'services.users.allow[0].on_behalf_of: expected "person" or "service" or "any", found \'everyone\'',
    ),
    "a fragment where keys are": (
        USERS.replace("jwks     = { keys = [] }", 'jwks_uri = "https://users.example/jwks#a"'),
        "services.users.jwks_uri: expected an https URL (http on loopback only) without user and fragment",
    ),
    "an audience with a blank behind it": (
        USERS.replace('"users"\n', '"users "\n'),
        "services.users.audience: expected printable characters without blanks around them",
    ),
    "a condition that holds for all": (
        USERS + RULE + "when_subject_has = []\n" + POSTS,
        "services.users.allow[0].when_subject_has: expected an array of scopes, at least one"
        ", found an empty array",
    ),
    "a chain of none": (
        USERS + RULE + "max_chain = 0\n" + POSTS,
        "services.users.allow[0].max_chain: expected a whole number from 1 to 8, found 0",
    ),
    "a chain of nine": (
        USERS + RULE + "max_chain = 9\n" + POSTS,
        "services.users.allow[0].max_chain: expected a whole number from 1 to 8, found 9",
    ),
    "a chain of 3.0": (
        USERS + RULE + "max_chain = 3.0\n" + POSTS,
        "services.users.allow[0].max_chain: expected a whole number from 1 to 8, found 3.0",
    ),
    "a chain of true": (
        USERS + RULE + "max_chain = true\n" + POSTS,
        "services.users.allow[0].max_chain: expected a whole number from 1 to 8, found true",
    ),
    "a chain without end": (
        USERS + RULE + "max_chain = inf\n" + POSTS,
        "services.users.allow[0].max_chain: expected a whole number from 1 to 8, found inf",
    ),
    "a lifetime that is a number": (
        USERS + RULE + "lifetime = 120\n" + POSTS,
        'services.users.allow[0].lifetime: expected a time like "90s" or "2m", found 120',
    ),
    "a lifetime that is too long": (
        USERS + RULE + 'lifetime = "301s"\n' + POSTS,
        "services.users.allow[0].lifetime: expected a time from 1s to 5m, found '301s'",
    ),
    "a lifetime of nothing": (
        USERS + RULE + 'lifetime = "0s"\n' + POSTS,
        "services.users.allow[0].lifetime: expected a time from 1s to 5m, found '0s'",
    ),
    "a lifetime in other digits": (
        USERS + RULE + 'lifetime = "٢m"\n' + POSTS,
        "services.users.allow[0].lifetime: expected a time like",
    ),
    "a third way to act": (
        USERS + RULE + 'act_as = "both"\n' + POSTS,
        'services.users.allow[0].act_as: expected "actor" or "subject", found \'both\'',
    ),
    "an issuer listed twice": (
        WHOLE + STAFF.replace("issuers.staff", "issuers.again"),
        "issuers.again.issuer: expected one of its own, found the same as issuers.staff",
    ),
    "an alias of ours": (
        WHOLE.replace("issuers.staff", "issuers.local"),
        "issuers.local: the name space local is our own",
    ),
    "the other alias of ours": (
        WHOLE.replace("issuers.staff", "issuers.service"),
        "issuers.service: the name space service is our own",
    ),
    "an alias in capitals": (
        WHOLE.replace("issuers.staff", "issuers.Staff"),
        "issuers.Staff: expected an alias of 1 to 64 lower-case",
    ),
    "an alias with a bar": (
        WHOLE.replace("issuers.staff", 'issuers."a|b"'),
        'issuers."a|b": expected an alias of 1 to 64 lower-case',
    ),
    "a symmetric algorithm": (
        WHOLE.replace("RS256", "HS256"),
        "issuers.staff.algorithms[0]: expected an algorithm with public keys",
    ),
    "no algorithm": (
        WHOLE.replace('["RS256"]', "[]"),
        "issuers.staff.algorithms: expected an array of names of algorithms, at least one"
        ", found an empty array",
    ),
    "the algorithm none": (
        WHOLE.replace("RS256", "none"),
        "issuers.staff.algorithms[0]: expected one of ES256, ES384, Ed25519, EdDSA, PS256, RS256"
        ", found 'none'",
    ),
    "an issuer that asserts all": (
        WHOLE.replace('"people"', '"all"'),
        'issuers.staff.asserts: expected "people" or "services", found \'all\'',
    ),
    "plain http for foreign keys": (
        WHOLE.replace("https://keys.example", "http://keys.example"),
        "issuers.staff.jwks_uri: expected an https URL (http on loopback only)",
    ),
    "more by default than at most": (
        WHOLE + 'default_scopes = ["posts:write"]\n',
        "issuers.staff.default_scopes: expected scopes of issuers.staff, found 'posts:write'",
    ),
    "an audience for nobody": (
        WHOLE + 'audiences = { x = "nobody" }\n',
        "issuers.staff.audiences.x: expected the client_id of a service of this document, found 'nobody'",
    ),
    "a mapped sub": (
        WHOLE + 'claims = { sub = "user_id" }\n',
        "issuers.staff.claims.sub: this claim is written by the server alone",
    ),
    "a mapped scope": (
        WHOLE + 'claims = { scope = "permissions" }\n',
        "issuers.staff.claims.scope: expected scope_claim",
    ),
    "a demand for a date": (
        WHOLE + "require = { since = 2026-01-01 }\n",
        "issuers.staff.require.since: expected a text, a whole number or a boolean, found a date or time",
    ),
    "a demand beyond JSON": (
        WHOLE + "require = { n = 9007199254740993 }\n",
        "issuers.staff.require.n: expected a text, a whole number or a boolean, found 9007199254740993",
    ),
    "a subject token type of ours": (
        WHOLE + 'subject_token_types = ["refresh_token"]\n',
        "issuers.staff.subject_token_types[0]: expected ",
    ),
    "an unfinished line": ("version = 1\naudience =\n", "line 2: expected TOML: invalid value"),
    "a table twice": (USERS + USERS.replace("version = 1", ""), "line 13: expected TOML: cannot declare"),
    "a key twice": ("version = 1\nversion = 1", "line 2: expected TOML: cannot overwrite a value"),
    "arrays in arrays": (
        "version = " + "[" * 100_000,
        "expected TOML, found tables or arrays nested too deeply",
    ),
    "a number without end": (
        "version = " + "9" * 10_000,
        "expected TOML, found a number or date out of range",
    ),
    "a day that is none": ("version = 2026-02-31", "line 1: expected TOML: invalid date"),
}


@pytest.mark.parametrize(("text", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_what_was_expected(problems: Problems, text: str, expected: str) -> None:
    found = problems(text)
    assert any(problem.startswith(expected) for problem in found), found


@pytest.mark.parametrize("key", ["services", "issuers"])
@pytest.mark.parametrize("value", ["1", '"x"', "true", "[]", "1.5", "nan", "-inf", "2026-11-24", "07:30:00"])
def test_no_wrong_type_anywhere_is_anything_but_a_mistake(problems: Problems, key: str, value: str) -> None:
    assert problems(f"version = 1\n{key} = {value}")


@pytest.mark.parametrize(
    "value", ["1", '"x x"', "true", "[1]", "nan", "2026-11-24T00:00:00Z", "{ a = 1 }", "[[{}]]"]
)
def test_every_key_refuses_what_is_not_for_it(problems: Problems, value: str) -> None:
    tables = {
        "[services.a]": [
            "audience", "url", "scopes", "claims", "jwks", "jwks_file", "jwks_uri", "secret_sha256", "allow",
        ],
        "[[services.a.allow]]": [
            "caller", "scopes", "on_behalf_of", "when_subject_has", "max_chain", "lifetime", "act_as",
        ],
        "[issuers.a]": [
            "issuer", "jwks_uri", "asserts", "algorithms", "token_types", "subject_token_types", "scopes",
            "default_scopes", "scope_claim", "roles", "audiences", "claims", "require",
        ],
    }  # fmt: skip
    free = {("audience", '"x x"'), ("issuer", '"x x"'), ("scope_claim", '"x x"'), ("max_chain", "1")}
    free |= {("require", "{ a = 1 }")}
    for header, keys in tables.items():
        found = problems(f"version = 1\n{header}\n" + "\n".join(f"{key} = {value}" for key in keys))
        for key in keys:
            if (key, value) not in free:
                assert any(f".{key}" in problem or f"] {key}" in problem for problem in found), (
                    header,
                    key,
                    found,
                )


@pytest.mark.parametrize(
    "place", ["jwks", "jwks_file", "jwks_uri", "private_key", "url", "audience", "secret_sha256"]
)
def test_a_private_key_is_named_and_never_shown(problems: Problems, place: str) -> None:
    pem = (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        .decode()
    )
    text = "version = 1\n[services.users]\n" + f"{place} = '''{pem}'''\n"
    told = "\n".join(problems(text))
    assert f"services.users.{place}" in told
    assert "private key" in told or place == "secret_sha256"
    for line in pem.splitlines():
        assert line not in told
        assert line[:16] not in told


def test_a_private_jwk_is_refused_in_the_document_and_in_a_file(
    problems: Problems, tmp_path: Path, private_numbers: tuple[dict[str, Any], str]
) -> None:
    jwk, secret = private_numbers
    (tmp_path / "users.jwks.json").write_text(json.dumps({"keys": [jwk]}))
    inside = USERS.replace("keys = []", f"keys = [{inline(jwk)}]")
    beside = USERS.replace("jwks     = { keys = [] }", 'jwks_file = "users.jwks.json"')
    for text, place in ((inside, "jwks"), (beside, "jwks_file")):
        (found,) = problems(text)
        assert found.startswith(f"services.users.{place}.keys[0]: expected a public key, found a private key")
        assert secret[:12] not in found


def test_a_shared_secret_in_a_key_set_is_refused(problems: Problems) -> None:
    secret = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
    (found,) = problems(USERS.replace("keys = []", f'keys = [{{ kty = "oct", kid = "1", k = "{secret}" }}]'))
    assert found.startswith("services.users.jwks.keys[0]")
    assert secret[:8] not in found


def test_a_private_key_file_is_named_and_never_shown(problems: Problems, tmp_path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "users.pem").write_bytes(pem)
    (found,) = problems(USERS.replace("jwks     = { keys = [] }", 'jwks_file = "users.pem"'))
    assert "found a private key" in found
    assert pem.splitlines()[1].decode()[:16] not in found


def test_a_secret_in_clear_is_refused_and_never_shown(problems: Problems) -> None:
    for line in (
        'secret_sha256 = ["hunter2"]',
        'secret_sha256 = ["correct-horse-battery-staple-0123456789"]',
        'secret = "hunter2"',
        'client_secret = "correct-horse-battery-staple-0123456789"',
    ):
        told = "\n".join(problems("version = 1\n[services.users]\n" + line))
        assert "services.users.secret" in told or "services.users.client_secret" in told
        assert "hunter2" not in told
        assert "horse" not in told


def test_a_long_text_is_never_shown_wherever_it_was_pasted(problems: Problems) -> None:
    secret = "Zm9yZ2V0IHRoaXMgc2VjcmV0IGF0IG9uY2U"
    whole = "\n".join(
        problems(
            USERS
            + RULE.replace('"posts"', f'"{secret}"').replace('"person"', f'"{secret}"')
            + f'"{secret * 3}" = 1\n'
            + POSTS.replace("posts:read", f"{secret} {secret}")
            + STAFF.replace("RS256", secret)
        )
    )
    assert secret not in whole


def test_a_weak_key_is_refused(problems: Problems, weak_modulus: str) -> None:
    weak = inline({"kty": "RSA", "kid": "1", "e": "AQAB", "n": weak_modulus})
    (found,) = problems(USERS.replace("keys = []", f"keys = [{weak}]"))
    assert found == "services.users.jwks.keys[0]: expected an RSA key of 2048 to 8192 bits, found 1024"


def test_two_keys_with_one_kid_are_refused(problems: Problems, jwk: dict[str, Any]) -> None:
    (found,) = problems(USERS.replace("keys = []", f"keys = [{inline(jwk)}, {inline(jwk)}]"))
    assert found == "services.users.jwks.keys[1]: another key of this set has the same kid"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff", b'{"keys":1}', b'{"keys":[],"keys":[]}', b'{"keys":[]}' + b" " * 300_000],
)
def test_a_key_file_that_is_no_key_set_is_refused(problems: Problems, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "users.jwks.json").write_bytes(content)
    (found,) = problems(USERS.replace("jwks     = { keys = [] }", 'jwks_file = "users.jwks.json"'))
    assert found.startswith("services.users.jwks_file: expected a ")


def test_a_key_file_that_never_ends_is_not_waited_for(problems: Problems, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "users.jwks.json")
    (found,) = problems(USERS.replace("jwks     = { keys = [] }", 'jwks_file = "users.jwks.json"'))
    assert (
        found == "services.users.jwks_file: expected a file with a JWK Set, found something that is no file"
    )


@pytest.mark.parametrize("name", ["a\\u0000b", ".", "x" * 256])
def test_a_key_file_name_that_is_none_is_refused(problems: Problems, name: str) -> None:
    (found,) = problems(USERS.replace("jwks     = { keys = [] }", f'jwks_file = "{name}"'))
    assert found.startswith("services.users.jwks_file: expected ")


def test_a_mistake_in_one_place_does_not_hide_one_in_another(tmp_path: Path) -> None:
    broken = [
        USERS.replace("version = 1", "version = 3"),
        RULE.replace('"posts"', "7"),
        POSTS,
        STAFF.replace("[issuers.staff]", "[issuers.UP]"),
    ]
    with pytest.raises(TrustError) as raised:
        parse("".join(broken), folder=tmp_path)
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        "version",
        "services.users.allow[0].caller",
        "issuers.UP",
    ]
