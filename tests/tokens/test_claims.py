"""What a genuine signature says is still held to issuer, audience, times and types."""

from typing import Any

import pytest

from watchword.errors import (
    AudienceMismatch,
    ClaimInvalid,
    IssuerNotTrusted,
    TokenExpired,
    TokenNotYetValid,
)
from watchword.tokens.claims import AccessTokenClaims

NOT_TEXT = [None, 7, 1.5, True, ["a"], {"a": 1}, []]


@pytest.mark.threat(42)
@pytest.mark.parametrize(
    "iss",
    [
        "https://id.exampl", "https://id.example.evil", "https://id.example/", "https://ID.example",
        "HTTPS://id.example",
        "http://id.example", "https://id.example:443", "https://id.example?", "https://id.example#",
        "https://id.ex%61mple",
        "https://id.exаmple", "https://id.example ", " https://id.example", "https://id.example\u0000",
        "id.example", "i", "",
        "https://id.example/.", "//id.example", None, 7, ["https://id.example"], {"https://id.example": 1},
        True,
    ],
)  # fmt: skip
def test_iss_is_compared_as_exact_text(forge: Any, iss: Any) -> None:
    forge.refused(forge.token(iss=iss), IssuerNotTrusted)


@pytest.mark.threat(42)
def test_a_token_without_iss_is_refused(forge: Any) -> None:
    forge.refused(forge.token(without=("iss",)), IssuerNotTrusted)


@pytest.mark.threat(43)
@pytest.mark.parametrize(
    "aud",
    [
        "user", "userss", "xusers", "Users", "users ", " users", "*", "users,posts", "users posts",
        "posts users", "us*",
        "https://users", "users/", "ｕsers", ["posts"], ["posts", "mail"], ["user", "s"], ["users posts"],
        ["*"],
    ],
)  # fmt: skip
def test_a_token_for_somebody_else_is_refused(forge: Any, aud: Any) -> None:
    forge.refused(forge.token(aud=aud), AudienceMismatch)


@pytest.mark.threat(43)
@pytest.mark.parametrize(
    "aud",
    [
        None,
        "",
        7,
        True,
        {},
        {"users": 1},
        [["users"]],
        ["users", 7],
        ["users", None],
        ["users", ""],
        [{"aud": "users"}],
        [None],
    ],
)
def test_an_aud_of_a_wrong_type_is_refused(forge: Any, aud: Any) -> None:
    forge.refused(forge.token(aud=aud), ClaimInvalid)


@pytest.mark.threat(43, 228)
def test_a_token_without_aud_is_refused(forge: Any) -> None:
    forge.refused(forge.token(without=("aud",)), ClaimInvalid)
    forge.refused(forge.token(aud=[]), AudienceMismatch)


@pytest.mark.threat(43)
def test_one_of_several_audiences_is_enough(forge: Any) -> None:
    token = forge.verify(forge.token(aud=["posts", "users"]))
    assert token.audience == ("posts", "users")
    two_names = forge.policy(audience=["users", "https://users.example"])
    assert forge.verify(forge.token(aud="https://users.example"), policy=two_names).audience == (
        "https://users.example",
    )


@pytest.mark.threat(44, 228)
@pytest.mark.parametrize("exp", [None, "1800000300", "", True, False, [], [1800000300], {}, {"exp": 1}])
def test_an_exp_of_a_wrong_type_is_refused(forge: Any, exp: Any) -> None:
    forge.refused(forge.token(exp=exp), ClaimInvalid)


@pytest.mark.threat(44, 228)
def test_a_token_without_exp_is_refused(forge: Any) -> None:
    forge.refused(forge.token(without=("exp",)), ClaimInvalid)


@pytest.mark.threat(44)
@pytest.mark.parametrize("exp", [-1, 0, -1e300, -0.5, -(2**70)])
def test_an_exp_that_is_no_date_is_refused(forge: Any, exp: Any) -> None:
    forge.refused(forge.token(exp=exp), ClaimInvalid)


@pytest.mark.threat(44)
@pytest.mark.parametrize("early", [0, 0.001, 0.5, 1, 300, 1_799_999_999])
def test_a_token_expires_at_exp_and_not_later(forge: Any, early: float) -> None:
    forge.refused(forge.token(exp=forge.now - early), TokenExpired)
    # leeway is for the clocks that issue, never for exp
    forge.refused(forge.token(exp=forge.now - early), TokenExpired, policy=forge.policy(leeway=60))


@pytest.mark.threat(44)
def test_a_fraction_of_exp_counts(forge: Any) -> None:
    assert forge.verify(forge.token(exp=forge.now + 0.5)).expires_at == forge.now + 0.5
    forge.refused(forge.token(exp=forge.now + 0.5), TokenExpired, now=forge.now + 0.5)
    assert forge.verify(forge.token(exp=forge.now + 0.5), now=forge.now + 0.49)


@pytest.mark.threat(44)
def test_a_verifier_without_a_clock_accepts_nothing(forge: Any) -> None:
    foreign = forge.policy(token_types=["JWT"])
    token = forge.sign(forge.header(typ="JWT"), forge.claims(without=("iat",)))
    assert forge.verify(token, policy=foreign)
    forge.refused(token, TokenExpired, policy=foreign, now=float("nan"))
    forge.refused(token, TokenExpired, policy=foreign, now=float("inf"))


@pytest.mark.threat(44, 46)
@pytest.mark.parametrize(
    "exp", [253_402_300_800, 1_800_000_300_000, 1_800_000_300_000_000, 1e30, 2**63, 2**64, 10**40]
)
def test_a_date_beyond_the_year_9999_or_in_milliseconds_is_refused(forge: Any, exp: Any) -> None:
    forge.refused(forge.token(exp=exp), ClaimInvalid)


@pytest.mark.threat(46)
@pytest.mark.parametrize("claim", ["exp", "iat", "nbf", "auth_time"])
@pytest.mark.parametrize("date", [2**31, 2**33, 253_402_300_799, 1e10, 10**40, 1e300, -(10**40)])
def test_no_date_overflows(forge: Any, claim: str, date: Any) -> None:
    from watchword.errors import TokenError

    try:
        assert forge.verify(forge.token(**{claim: date}))
    except TokenError:
        return
    assert claim == "auth_time" or date <= 253_402_300_799


@pytest.mark.threat(46)
def test_the_last_second_of_the_year_9999_is_a_date(forge: Any) -> None:
    assert forge.verify(forge.token(exp=253_402_300_799)).expires_at == 253_402_300_799
    assert forge.verify(forge.token(exp=253_402_300_799), now=253_402_300_798)


@pytest.mark.threat(45)
@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize("ahead", [0.001, 0.5, 1, 5, 3_600, 10**12, 1e300])
def test_a_token_of_the_future_is_refused_without_leeway(forge: Any, claim: str, ahead: float) -> None:
    forge.refused(forge.token(**{claim: forge.now + ahead}), TokenNotYetValid)


@pytest.mark.threat(45)
@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_leeway_for_nbf_and_iat_is_exact(forge: Any, claim: str) -> None:
    five = forge.policy(leeway=5)
    assert forge.verify(forge.token(**{claim: forge.now}))
    assert forge.verify(forge.token(**{claim: forge.now + 5}), policy=five)
    forge.refused(forge.token(**{claim: forge.now + 5.001}), TokenNotYetValid, policy=five)
    assert forge.verify(forge.token(**{claim: forge.now - 10**9}))


@pytest.mark.threat(45)
@pytest.mark.parametrize("claim", ["nbf", "iat", "auth_time"])
@pytest.mark.parametrize("value", [None, "1800000000", True, [], {}])
def test_a_time_of_a_wrong_type_is_refused(forge: Any, claim: str, value: Any) -> None:
    forge.refused(forge.token(**{claim: value}), ClaimInvalid)


@pytest.mark.threat(49)
@pytest.mark.parametrize("claim", ["sub", "client_id", "jti", "iat"])
def test_a_token_without_what_rfc_9068_demands_is_refused(forge: Any, claim: str) -> None:
    error = forge.refused(forge.token(without=(claim,)), ClaimInvalid)
    assert claim in str(error)


@pytest.mark.threat(49)
@pytest.mark.parametrize("claim", ["sub", "client_id", "jti", "txn", "sid"])
@pytest.mark.parametrize("value", [*NOT_TEXT, ""])
def test_a_name_that_is_empty_or_no_text_is_refused(forge: Any, claim: str, value: Any) -> None:
    error = forge.refused(forge.token(**{claim: value}), ClaimInvalid)
    assert claim in str(error)


@pytest.mark.threat(49)
@pytest.mark.parametrize(
    "scope",
    [
        ["users:read"], None, 7, {}, True, "a\u0000b", "a\nb", "a\tb", "a  b", " a", "a ", " ", 'a"b',
        "a\\b", "a\x7f", "ü", "a\r\nb",
        "a\u00a0b", "a\u200bb",
    ],
)  # fmt: skip
def test_a_scope_outside_its_grammar_is_refused(forge: Any, scope: Any) -> None:
    forge.refused(forge.token(scope=scope), ClaimInvalid)


@pytest.mark.threat(49)
@pytest.mark.parametrize(
    ("scope", "holds"),
    [("", set()), ("a", {"a"}), ("a b", {"a", "b"}), ("a a", {"a"}), ("!#[]~:/.", {"!#[]~:/."})],
)
def test_a_scope_is_a_set_of_tokens(forge: Any, scope: str, holds: set[str]) -> None:
    assert forge.verify(forge.token(scope=scope)).scope == holds
    assert forge.verify(forge.token(without=("scope",))).scope == set()


@pytest.mark.threat(49)
@pytest.mark.parametrize("claim", ["sub", "client_id", "jti", "txn", "sid", "aud"])
@pytest.mark.parametrize("control", ["\u0000", "\n", "\r\n", "\u001b[2J", "\t", "\b", "\u001f"])
def test_a_name_with_a_control_character_is_refused(forge: Any, claim: str, control: str) -> None:
    value = ["users", f"a{control}b"] if claim == "aud" else f"a{control}b"
    error = forge.refused(forge.token(**{claim: value}), ClaimInvalid)
    assert str(error) == f"{claim}: expected text without control characters"


@pytest.mark.threat(49)
def test_control_characters_are_found_in_roles_and_actors_and_nowhere_else(forge: Any) -> None:
    forge.refused(forge.token(roles=["editor", "ad\nmin"]), ClaimInvalid)
    forge.refused(forge.token(act={"sub": "service|a", "act": {"sub": "service|b\u0000"}}), ClaimInvalid)
    assert forge.verify(
        forge.token(about="several\nlines", sub='a "quoted" \\ name', roles=["a\\b"], act={"sub": 'x"'})
    )


@pytest.mark.threat(49)
@pytest.mark.parametrize("claim", ["roles", "amr"])
@pytest.mark.parametrize("value", ["admin", None, 7, {}, [1], [None], [["admin"]], ["a", 1]])
def test_a_list_of_names_holds_names_only(forge: Any, claim: str, value: Any) -> None:
    forge.refused(forge.token(**{claim: value}), ClaimInvalid)


def test_everything_that_a_token_says_can_be_read(forge: Any) -> None:
    token = forge.verify(
        forge.token(
            sid="a-session",
            roles=["editor"],
            nbf=1.5,
            acr="1",
            amr=["pwd"],
            auth_time=7,
            may_act={"sub": "x"},
        )
    )
    assert token.issuer == forge.issuer
    assert (token.client_id, token.token_id, token.story_id, token.session_id) == (
        "posts",
        "a-token-id",
        "a-story",
        "a-session",
    )
    assert token.roles == {"editor"}
    assert token.audience == ("users",)
    assert (token.issued_at, token.expires_at) == (forge.now, forge.now + 300)
    assert "local|42" in repr(token)
    assert forge.verify(forge.token(without=("txn", "scope"))).story_id is None


@pytest.mark.threat(49)
def test_required_claims_are_demanded_of_every_type(forge: Any) -> None:
    for types, typ in ((["at+jwt"], "at+jwt"), (["JWT"], "JWT")):
        policy = forge.policy(token_types=types, required_claims=["email_verified"])
        lacking = forge.sign(forge.header(typ=typ), forge.claims())
        error = forge.refused(lacking, ClaimInvalid, policy=policy)
        assert "email_verified" in str(error)
        assert forge.verify(
            forge.sign(forge.header(typ=typ), forge.claims(email_verified=False)), policy=policy
        )


@pytest.mark.threat(49)
@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (["posts:read", "posts:write"], {"posts:read", "posts:write"}),
        ("posts:read posts:write", {"posts:read", "posts:write"}),
        ([], set()),
        ("", set()),
    ],
)
def test_scopes_of_a_foreign_issuer_stand_where_the_policy_says(
    forge: Any, value: Any, holds: set[str]
) -> None:
    policy = forge.policy(scope_claim="permissions")
    assert forge.verify(forge.token(permissions=value), policy=policy).scope == holds
    assert forge.verify(forge.token(), policy=policy).scope == set(), "the usual claim means nothing then"


@pytest.mark.threat(49)
@pytest.mark.parametrize(
    "value",
    [
        ["read all:admin"], ["a", ""], [""], ["a", 7], [["a"]], ["a\nb"], ["a b"], "a  b", " a", None, 7,
        {}, {"a": 1}, True, ["ü"],
        [None],
    ],
)  # fmt: skip
def test_a_blank_inside_one_foreign_scope_does_not_make_two(forge: Any, value: Any) -> None:
    forge.refused(
        forge.token(permissions=value), ClaimInvalid, policy=forge.policy(scope_claim="permissions")
    )


@pytest.mark.threat(49)
@pytest.mark.parametrize("value", [None, 1, ["1"], {}, True])
def test_an_acr_that_is_no_text_is_refused(forge: Any, value: Any) -> None:
    forge.refused(forge.token(acr=value), ClaimInvalid)


@pytest.mark.threat(56)
def test_a_missing_claim_and_a_wrong_one_are_told_by_name(forge: Any) -> None:
    said = "a claim is not as RFC 9068 §2.2 wants it: "
    missing = forge.refused(forge.token(without=("exp",)), ClaimInvalid)
    assert str(missing) == f"{said}object missing required field `exp`"
    wrong = forge.refused(forge.token(jti=7), ClaimInvalid)
    assert str(wrong) == f"{said}jti: expected `str`, got `int`"


@pytest.mark.threat(228)
@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp"])
def test_claims_without_what_every_token_must_say_cannot_be_made(missing: str) -> None:
    said = {"iss": "https://id.example", "sub": "local|42", "aud": "users", "exp": 1_800_000_300}
    assert AccessTokenClaims(**said)
    with pytest.raises(TypeError, match=missing):
        AccessTokenClaims(**{name: value for name, value in said.items() if name != missing})
