"""Who acts for whom is told by a bounded chain; a token that is bound to a key is no bearer token."""

from typing import Any

import pytest

from watchword.errors import ClaimInvalid, ProofRequired


def chain(length: int) -> dict[str, Any]:
    act: dict[str, Any] = {"sub": "service|1"}
    for number in range(2, length + 1):
        act = {"sub": f"service|{number}", "act": act}
    return act


@pytest.mark.threat(50)
@pytest.mark.parametrize(
    "act",
    [None, "service|posts", 7, True, [], [{"sub": "a"}], {}, {"sub": ""}, {"sub": 7}, {"act": {"sub": "a"}},
    {"sub": "a", "act": "b"},
     {"sub": "a", "act": {}}, {"sub": "a", "act": None}, {"sub": "a", "act": [{"sub": "b"}]}, {"sub": "a",
     "iss": 7}],
)  # fmt: skip
def test_an_act_that_names_nobody_is_refused(forge: Any, act: Any) -> None:
    forge.refused(forge.token(act=act), ClaimInvalid)


@pytest.mark.threat(50)
@pytest.mark.parametrize("length", [9, 12, 14])
def test_a_chain_of_more_than_eight_actors_is_refused(forge: Any, length: int) -> None:
    error = forge.refused(forge.token(act=chain(length)), ClaimInvalid)
    assert "at most 8 actors" in str(error)


@pytest.mark.threat(50)
def test_a_chain_is_told_with_the_current_actor_first(forge: Any) -> None:
    assert forge.verify(forge.token(act=chain(3))).actors == ("service|3", "service|2", "service|1")
    assert len(forge.verify(forge.token(act=chain(8))).actors) == 8
    assert forge.verify(forge.token()).actors == ()
    two = forge.policy(max_actors=2)
    assert forge.verify(forge.token(act=chain(2)), policy=two)
    forge.refused(forge.token(act=chain(3)), ClaimInvalid, policy=two)
    forge.refused(forge.token(act=chain(1)), ClaimInvalid, policy=forge.policy(max_actors=0))


@pytest.mark.threat(51)
@pytest.mark.parametrize(
    "cnf",
    [
        {"jkt": "a" * 43},
        {"x5t#S256": "a" * 43},
        {"jwk": {}},
        {"kid": "k"},
        {"jku": "https://e"},
        {"new": 1},
        {},
    ],
)
def test_a_token_bound_to_a_key_is_no_bearer_token(forge: Any, cnf: Any) -> None:
    forge.refused(forge.token(cnf=cnf), ProofRequired)
    forge.refused(
        forge.sign(forge.header(typ="JWT"), forge.claims(cnf=cnf)),
        ProofRequired,
        policy=forge.policy(token_types=["JWT"]),
    )


@pytest.mark.threat(51)
@pytest.mark.parametrize("cnf", [None, "jkt", 7, [], True])
def test_a_cnf_that_is_no_object_is_refused(forge: Any, cnf: Any) -> None:
    forge.refused(forge.token(cnf=cnf), ClaimInvalid)


@pytest.mark.threat(50)
@pytest.mark.parametrize("may_act", [None, "service|posts", 7, []])
def test_a_may_act_that_is_no_object_is_refused(forge: Any, may_act: Any) -> None:
    forge.refused(forge.token(may_act=may_act), ClaimInvalid)
