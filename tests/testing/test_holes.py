"""The conformance suite turns red for every classic hole, by the check that is about it."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SERVICES = Path(__file__).with_name("broken_services.py").read_text()
FORGERY = "test_a_forgery_is_refused"
ONLY = {
    "Careful": set(),
    "NoAudience": {f"{FORGERY}[wrong_audience]"},
    "NoIssuer": {f"{FORGERY}[wrong_issuer]"},
    "NoExpiry": {f"{FORGERY}[expired]", f"{FORGERY}[no_expiry]"},
    "AlgNone": {f"{FORGERY}[alg_none]"},
    "BelievesAlg": {f"{FORGERY}[hs256_with_public_key]"},
    "BelievesEmbeddedKeys": {f"{FORGERY}[embedded_key]"},
    "AnyType": {f"{FORGERY}[{kind}]" for kind in ("wrong_type", "bound", "deep_act")},
    "Forwards": {"test_the_callers_token_goes_no_further"},
    "NoScope": {"test_a_missing_scope_is_403"},
    "TakesTheFirstHeader": {"test_two_credentials_are_refused_even_if_both_are_genuine"},
    "NeverFetchesAgain": {"test_a_new_key_that_was_just_published_goes_unnoticed"},
    "KnowsOneKey": {
        "test_a_new_key_that_was_just_published_goes_unnoticed",
        "test_a_new_key_that_was_published_in_time_goes_unnoticed",
    },
    "FetchesEachTime": {"test_keys_that_are_known_are_enough_while_the_issuer_is_down"},
    "OpenWhenKeysAreDown": {"test_nothing_unproven_gets_in_while_the_issuer_is_down"},
}
AT_LEAST = {
    "Unverified": {
        f"{FORGERY}[{kind}]"
        for kind in (
            "alg_none", "hs256_with_public_key", "tampered", "no_signature", "unknown_kid", "foreign_key",
            "embedded_key", "foreign_issuer", "wrong_audience", "expired", "not_yet_valid",
        )
    },
    "SwallowsErrors": {
        f"{FORGERY}[expired]", f"{FORGERY}[no_token]", "test_a_missing_scope_is_403",
        "test_no_token_is_401_with_a_bare_challenge",
    },
    "Echoes": {f"{FORGERY}[expired]", f"{FORGERY}[tampered]"},
    "TakesTheLastWord": {
        "test_another_scheme_is_no_token", "test_a_malformed_credential_is_refused[Bearer a b]",
    },
    "LocksOut": {f"{FORGERY}[expired]"},
    "NoChallenge": {"test_no_token_is_401_with_a_bare_challenge", f"{FORGERY}[expired]"},
    "RefusesEverybody": {"test_a_genuine_token_is_accepted"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _small_and_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "200")


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run in a process of its own; the entry point of the plugin is proven in test_plugin.py."""
    return pytester.runpytest_subprocess(
        "-q", "-p", "watchword.testing.plugin", "-p", "no:cacheprovider", *arguments, timeout=120
    )


def test_each_hole_is_found_by_its_own_check_and_a_careful_service_has_none(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_services=SERVICES)
    outcome = run(pytester, "-rf", "--tb=no")
    found: dict[str, set[str]] = {
        name: set()
        for name in re.findall(r"^class (\w+)\((?:Careful|NeverFetchesAgain)\)", SERVICES, re.MULTILINE)
    }
    found["Careful"] = set()
    for line in outcome.outlines:
        match = re.match(r"FAILED test_services\.py::Test(\w+)::(test_\w+(?:\[[^]]*\])?)", line)
        if match:
            found[match[1]].add(match[2])
    assert found.keys() == ONLY.keys() | AT_LEAST.keys()
    assert {name: checks for name, checks in found.items() if name in ONLY} == ONLY
    for name, checks in AT_LEAST.items():
        assert checks <= found[name], name
    outcome.assert_outcomes(
        errors=0, failed=sum(map(len, found.values())), passed=outcome.parseoutcomes()["passed"]
    )


def test_a_failure_says_what_the_hole_lets_in(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_services=SERVICES)
    outcome = run(pytester, "-k", "NoAudience and wrong_audience or Forwards and no_further")
    outcome.stdout.fnmatch_lines_random(
        [
            "E*expected status 401: a token gets in that is for another audience; found status 200*",
            "E*AssertionError: expected a token of its own for the callee, found the caller's*",
        ]
    )
    outcome.assert_outcomes(failed=2, deselected=outcome.parseoutcomes()["deselected"])


EXCUSED = (
    SERVICES[: SERVICES.index("\nfor broken in")]
    + """
class TestExcused(suite(NoAudience)):
    excused = {Forgery.WRONG_AUDIENCE: "the gateway looks at it"}

class TestNotNeeded(suite(Careful)):
    excused = {Forgery.EXPIRED: "once upon a time", "test_a_missing_scope_is_403": "likewise"}

class TestMisspelled(suite(Careful)):
    excused = {"test_a_misspelled_check": "nobody"}

class TestForgotten(ConformanceSuite):
    audience = "posts"
"""
)


def test_an_excuse_must_be_needed_and_name_a_check(pytester: pytest.Pytester) -> None:
    excused = EXCUSED.replace("import ConformanceSuite, ", "import ConformanceSuite, Forgery, ")
    pytester.makepyfile(test_services=excused)
    outcome = run(pytester, "-rfEx", "-k", "wrong_audience or expired or missing_scope or genuine")
    told = "\n".join(outcome.outlines)
    for line in (
        r"XFAIL \S+TestExcused::test_a_forgery_is_refused\[wrong_audience\] - the gateway looks at it",
        r"FAILED \S+TestNotNeeded::test_a_forgery_is_refused\[expired\] - \[XPASS\(strict\)\] once upon",
        r"FAILED \S+TestNotNeeded::test_a_missing_scope_is_403 - \[XPASS\(strict\)\] likewise",
        r"ERROR \S+TestMisspelled::test_a_genuine_token_is_accepted - Failed: excused: expected a Forgery",
        r"ERROR \S+TestForgotten::test_a_genuine_token_is_accepted - Failed: TestForgotten needs a fixture",
    ):
        assert re.search(line, told), line
    assert not re.search(r"(FAILED|ERROR) \S+TestExcused", told)
    assert not re.search(r"passed \S+Test(Misspelled|Forgotten)", told)
