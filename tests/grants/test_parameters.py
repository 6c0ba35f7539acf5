"""Parameters of a request: each once, empty is absent, unknown is ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.errors import InvalidRequest
from watchword.grants.parameters import Parameters


@pytest.mark.threat(99)
@pytest.mark.parametrize(
    "name", ["grant_type", "scope", "subject_token", "client_id", "client_assertion", "x"]
)
def test_a_repeated_parameter_is_refused_even_with_the_same_value(name: str) -> None:
    with pytest.raises(InvalidRequest, match="once"):
        Parameters([(name, "a"), (name, "a")])


def test_a_target_may_be_named_several_times() -> None:
    parameters = Parameters(
        [("audience", "users"), ("audience", "users"), ("resource", "https://users.example")]
    )
    assert parameters.all("audience") == ("users", "users")
    assert parameters.all("resource") == ("https://users.example",)


def test_a_parameter_without_a_value_was_not_sent() -> None:
    parameters = Parameters([("scope", ""), ("scope", "users:read"), ("audience", "")])
    assert parameters.get("scope") == "users:read"
    assert "audience" not in parameters
    with pytest.raises(InvalidRequest, match="audience"):
        parameters.require("audience")


def test_parameters_never_show_a_value() -> None:
    shown = repr(Parameters([("client_secret", "canary-3f9c"), ("subject_token", "canary-3f9c")]))
    assert "canary" not in shown
    assert "client_secret" in shown


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=8))
def test_any_form_is_read_or_refused_as_an_invalid_request(pairs: list[tuple[str, str]]) -> None:
    sent = [(name, value) for name, value in pairs if value]
    names = [name for name, _ in sent if name not in {"audience", "resource"}]
    if len(set(names)) < len(names):
        with pytest.raises(InvalidRequest):
            Parameters(pairs)
    else:
        parameters = Parameters(pairs)
        assert all(value in parameters.all(name) for name, value in sent)
