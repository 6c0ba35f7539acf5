"""What differs between two documents, and a document as TOML: nothing is lost on the way."""

import tomllib
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from watchword.trust.diff import differences
from watchword.trust.document import digest, parse
from watchword.trust.model import TrustDocument
from watchword.trust.rules import Ask
from watchword.trust.toml_form import to_toml, toml_lines

from .conftest import document, service
from .worlds import rules, worlds

USERS = service("users", "r", "w", secret_sha256=("1" * 64,))
HOSTILE = "".join(map(chr, (*range(1, 33), 34, 92, 127, 0x85, 0x2028, 0x1F600)))


def test_the_same_says_nothing():
    assert differences(document(USERS), document(replace(USERS))) == ()


def test_tables_come_and_go_and_keys_change():
    posts = service("posts", secret_sha256=("2" * 64,))
    old = document(USERS, posts)
    new = document(
        replace(USERS, scopes=frozenset({"r"}), url="https://u.example"), service("b", jwks_uri="https://b")
    )
    found = [(d.action, d.what, d.place) for d in differences(old, new)]
    assert found == [
        ("add", "table", "services.b"),
        ("remove", "table", "services.posts"),
        ("change", "key", "services.users.scopes"),
        ("add", "key", "services.users.url"),
    ]


@settings(deadline=None)
@given(rules(), rules())
def test_rules_that_went_and_came_make_the_one_set_of_the_other(before, after):
    old, new = (
        document(replace(USERS, allow=allow), service("posts"), service("web")) for allow in (before, after)
    )
    found = differences(old, new)
    assert (found == ()) == (digest(old) == digest(new))
    gone = [d.before for d in found if (d.action, d.what) == ("remove", "rule")]
    came = [d.after for d in found if (d.action, d.what) == ("add", "rule")]
    assert len(before) - len(gone) + len(came) == len(after)
    assert not [rule for rule in gone if rule in came]


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_a_document_in_toml_reads_as_the_same_document(world: tuple[TrustDocument, Ask]):
    trust, _ = world
    assert digest(parse(to_toml(trust), folder=None)) == digest(trust)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.booleans())
@example(HOSTILE, True)
def test_hostile_text_in_toml_stays_text(text: str, nested: bool):
    table = {text: {text: [text]}} if nested else {"name": text}
    assert tomllib.loads("\n".join(toml_lines(table))) == table
