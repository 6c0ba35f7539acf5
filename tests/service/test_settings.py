"""Arguments beat the environment, the environment beats the file, and every mistake is told at once."""

from pathlib import Path
from typing import Any

import pytest

from watchword import IssuerSettings, Watchword
from watchword.client.authentication import KeyAuthentication, SecretAuthentication
from watchword.errors import ConfigurationError
from watchword.service import ServiceSettings
from watchword.tokens.private_key import PrivateKey

ISSUER = "https://issuer.example"
LEAST = {"WATCHWORD_ISSUER": ISSUER, "WATCHWORD_AUDIENCE": "posts"}


def load(environ: dict[str, str] | None = None, **more: Any) -> ServiceSettings:
    return ServiceSettings.load(LEAST | (environ or {}), **more)


def problems(environ: dict[str, str], **more: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as wrong:
        ServiceSettings.load(environ, **more)
    return wrong.value.problems


def test_issuer_and_audience_are_enough() -> None:
    settings = load()
    assert settings.issuer == IssuerSettings(ISSUER)
    assert settings.audience == {"posts"}
    assert (settings.client_id, settings.client, settings.leeway) == ("posts", None, 5.0)
    assert (settings.jwks_max_age, settings.ca_file, dict(settings.urls)) == (None, None, {})


def test_everything_can_come_from_the_environment(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "key.pem").write_bytes(PrivateKey.generate().insecure_private_pem())
    settings = load(
        {
            "WATCHWORD_TRUSTED_ISSUERS": "people=https://people.example, staff=http://127.0.0.1:5001",
            "WATCHWORD_CLIENT_ID": "posts-client",
            "WATCHWORD_CLIENT_KEY_FILE": str(tmp_path / "key.pem"),
            "WATCHWORD_URL_USERS": "http://127.0.0.1:5001",
            "WATCHWORD_URL_ORDER_ITEMS": "https://items.example/api",
            "WATCHWORD_CA_FILE": str(tmp_path / "ca.pem"),
            "WATCHWORD_INSECURE_HTTP_HOSTS": "a.internal, b.internal:8080",
            "WATCHWORD_JWKS_MAX_AGE": "2h",
            "WATCHWORD_LEEWAY": "0",
        }
    )
    assert settings.trusted_issuers["people"].issuer == "https://people.example"
    assert settings.trusted_issuers["staff"].issuer == "http://127.0.0.1:5001"
    assert isinstance(settings.client, KeyAuthentication)
    assert settings.client.client_id == settings.client_id == "posts-client"
    assert settings.url_of("order-items") == "https://items.example/api"
    assert settings.insecure_http_hosts == {"a.internal", "b.internal:8080"}
    assert (settings.jwks_max_age, settings.leeway) == (7200, 0)


def test_a_setting_can_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "audience").write_text("posts\n")
    (tmp_path / "url").write_text("http://127.0.0.1:5001\n")
    (tmp_path / "secret").write_text("s3cr3t\n")
    settings = ServiceSettings.load(
        {
            "WATCHWORD_ISSUER": ISSUER,
            "WATCHWORD_AUDIENCE_FILE": str(tmp_path / "audience"),
            "WATCHWORD_URL_USERS_FILE": str(tmp_path / "url"),
            "WATCHWORD_CLIENT_SECRET_FILE": str(tmp_path / "secret"),
        }
    )
    assert settings.audience == {"posts"}
    assert settings.url_of("users") == "http://127.0.0.1:5001"
    assert isinstance(settings.client, SecretAuthentication)
    assert "s3cr3t" not in repr(settings)


def test_the_file_is_the_last_resort_and_arguments_the_first(tmp_path: Path) -> None:
    (tmp_path / "watchword.toml").write_text(
        'issuer = "https://file.example"\naudience = "file"\nleeway = 1\nclient_id = "file"\n'
        'url_users = "https://file.example"\n[trusted_issuers]\npeople = "https://people.example"\n'
    )
    settings = ServiceSettings.load(
        {"WATCHWORD_AUDIENCE": "environment", "WATCHWORD_LEEWAY": "2"}, folder=tmp_path, leeway=3
    )
    assert settings.issuer.issuer == "https://file.example"
    assert settings.audience == {"environment"}
    assert settings.leeway == 3
    assert settings.client_id == "file"
    assert settings.url_of("users") == "https://file.example"
    assert list(settings.trusted_issuers) == ["people"]


@pytest.mark.threat(228)
def test_every_mistake_is_told_at_once_and_by_its_name(tmp_path: Path) -> None:
    found = problems(
        {
            "WATCHWORD_ISSUER": "http://issuer.example",
            "WATCHWORD_TRUSTED_ISSUERS": "People=https://a.example,just-a-name,x=ftp://b.example",
            "WATCHWORD_CLIENT_KEY_FILE": str(tmp_path / "missing.pem"),
            "WATCHWORD_URL_USERS": "users:5001",
            "WATCHWORD_URL_BILLING": "https://user:pass@billing.example",
            "WATCHWORD_CA_FILE": str(tmp_path / "missing-ca.pem"),
            "WATCHWORD_JWKS_MAX_AGE": "often",
            "WATCHWORD_LEEWAY": "3600",
        }
    )
    told = "\n".join(found)
    for name in (
        "WATCHWORD_ISSUER",
        "WATCHWORD_AUDIENCE",
        "WATCHWORD_TRUSTED_ISSUERS",
        "WATCHWORD_CLIENT_KEY_FILE",
        "WATCHWORD_URL_USERS",
        "WATCHWORD_URL_BILLING",
        "WATCHWORD_CA_FILE",
        "WATCHWORD_JWKS_MAX_AGE",
        "WATCHWORD_LEEWAY",
    ):
        assert f"{name}: " in told
    assert len(found) == 11
    assert "user:pass" not in told


@pytest.mark.threat(228)
def test_there_is_no_default_for_issuer_and_audience(tmp_path: Path) -> None:
    assert len(problems({})) == 2
    with pytest.raises(ConfigurationError):
        Watchword(issuer=ISSUER, environ={}, folder=tmp_path)
    with pytest.raises(ConfigurationError):
        Watchword(audience="posts", environ={}, folder=tmp_path)


def test_a_setting_said_twice_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "audience").write_text("posts")
    assert problems(LEAST | {"WATCHWORD_AUDIENCE_FILE": str(tmp_path / "audience")}) == (
        "WATCHWORD_AUDIENCE: expected it once, found WATCHWORD_AUDIENCE_FILE too",
    )
    (tmp_path / "key").write_bytes(PrivateKey.generate().insecure_private_pem())
    both = {
        "WATCHWORD_CLIENT_KEY_FILE": str(tmp_path / "key"),
        "WATCHWORD_CLIENT_SECRET_FILE": str(tmp_path / "audience"),
    }
    assert problems(LEAST | both) == ("WATCHWORD_CLIENT_KEY_FILE: expected a key or a secret, found both",)
    assert (
        "the alias a once"
        in problems(LEAST | {"WATCHWORD_TRUSTED_ISSUERS": "a=https://a.example,a=https://b.example"})[0]
    )


@pytest.mark.parametrize(
    "content", ["", "not a key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"]
)
def test_a_key_file_without_a_private_key_is_a_mistake_that_shows_nothing_of_it(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "key").write_text(content)
    (told,) = problems(LEAST | {"WATCHWORD_CLIENT_KEY_FILE": str(tmp_path / "key")})
    assert told.startswith("WATCHWORD_CLIENT_KEY_FILE: ")
    assert not content or content not in told


@pytest.mark.threat(158)
def test_a_secret_is_not_taken_from_the_environment_itself() -> None:
    told = problems(LEAST | {"WATCHWORD_CLIENT_SECRET": "s3cr3t", "WATCHWORD_CLIENT_KEY": "x"})
    assert [problem.partition(":")[0] for problem in told] == [
        "WATCHWORD_CLIENT_KEY",
        "WATCHWORD_CLIENT_SECRET",
    ]
    assert "s3cr3t" not in str(told)


def test_a_name_that_was_mistyped_is_told_and_those_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "watchword.toml").write_text('audienc = "posts"\ndatabase = "x.db"\n')
    server = {"WATCHWORD_DATABASE": "x", "WATCHWORD_TRUST": "trust.toml", "WATCHWORD_REQUIRE_ALL": "1"}
    told = problems(LEAST | server | {"WATCHWORD_TRUSTED_ISSUER": "a=https://a.example"}, folder=tmp_path)
    assert told == (
        "WATCHWORD_AUDIENC: there is no such setting; WATCHWORD_AUDIENCE is one",
        "WATCHWORD_TRUSTED_ISSUER: there is no such setting; WATCHWORD_TRUSTED_ISSUERS is one",
    )


def test_an_unknown_argument_is_a_type_error_that_lists_the_known_ones() -> None:
    with pytest.raises(TypeError, match="unknown settings: isuer; known are audience"):
        load(isuer="https://a.example")


def test_a_file_that_is_no_toml_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "watchword.toml").write_text("issuer = ")
    assert any("expected TOML" in problem for problem in problems(LEAST, folder=tmp_path))


def test_a_trailing_slash_of_an_issuer_is_kept_to_the_letter() -> None:
    assert load({"WATCHWORD_ISSUER": "https://tenant.auth0.example/"}).issuer.issuer.endswith("/")


def test_several_audiences_are_understood() -> None:
    assert load({"WATCHWORD_AUDIENCE": "posts, posts-v2"}).audience == {"posts", "posts-v2"}
    assert load(audience=["posts", "posts-v2"]).audience == {"posts", "posts-v2"}
