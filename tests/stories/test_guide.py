"""The guide's own code, as it stands in examples/guide/theirs, against our tokens and our /public-key."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jwt
import pytest
import requests
from flask import Flask

from watchword import Issuer
from watchword.errors import ConfigurationError, KeyRejected, TokenError
from watchword.flask import issuer_blueprint
from watchword.keystores.files import FileKeyStore
from watchword.service import Watchword
from watchword.testing.serving import serving_wsgi
from watchword.tokens.shared_secret import SharedSecret

GUIDE = Path(__file__).resolve().parents[2] / "examples" / "guide"
THEIR_LINE = 'jwt.decode(token, public_key, algorithms=["RS256"])'
WITH_AUDIENCE = 'jwt.decode(token, public_key, algorithms=["RS256"], audience="posts")'


def load(path: Path, *, changed: tuple[str, str] | None = None) -> ModuleType:
    """Run a file of the guide as a module, with at most one text replaced."""
    text = path.read_text()
    if changed is not None:
        assert text.count(changed[0]) == 1
        text = text.replace(*changed)
    module = ModuleType(f"guide_{path.stem}")
    module.__file__ = str(path)
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "users"


@pytest.fixture(scope="module")
def users(folder: Path) -> Iterator[tuple[str, Issuer]]:
    app = Flask(__name__)
    with serving_wsgi(app) as url:
        issuer = Issuer(url, FileKeyStore(folder), algorithm="RS256")
        app.register_blueprint(issuer_blueprint(issuer))
        yield url, issuer


@pytest.fixture
def theirs(users: tuple[str, Issuer]) -> ModuleType:
    module = load(GUIDE / "theirs" / "posts_service.py", changed=(THEIR_LINE, WITH_AUDIENCE))
    module.USERS_SERVICE_URL = users[0]
    return module


def test_their_verification_accepts_our_tokens_with_one_added_argument(
    theirs: ModuleType, users: tuple[str, Issuer]
) -> None:
    payload = theirs.verify_token(users[1].issue("1", "posts", scope={"posts:read"}))
    assert payload["sub"] == "1"
    assert payload["aud"] == "posts"


def test_their_verification_without_the_argument_refuses_our_tokens(users: tuple[str, Issuer]) -> None:
    module = load(GUIDE / "theirs" / "posts_service.py")
    module.USERS_SERVICE_URL = users[0]
    assert module.verify_token(users[1].issue("1", "posts")) is None


def test_their_verification_refuses_our_tokens_for_somebody_else(
    theirs: ModuleType, users: tuple[str, Issuer]
) -> None:
    assert theirs.verify_token(users[1].issue("1", "reports")) is None


@pytest.mark.threat(231)
def test_after_a_key_change_their_code_and_ours_accept_old_and_new_tokens(
    theirs: ModuleType, users: tuple[str, Issuer]
) -> None:
    url, issuer = users
    ours = Watchword(issuer=url, audience="posts", environ={})
    old = issuer.issue("1", "posts")
    assert ours.verify(old).subject.id == "1"
    issuer.activate_key(issuer.prepare_key())
    new = issuer.issue("1", "posts")
    assert theirs.verify_token(new)["sub"] == "1"
    assert ours.verify(new).subject.id == "1"
    assert ours.verify(old).subject.id == "1"
    # their line, with the key that the token names instead of the newest one
    kid = jwt.get_unverified_header(old)["kid"]
    public_key = requests.get(f"{url}/public-key", params={"kid": kid}, timeout=10).text
    assert jwt.decode(old, public_key, algorithms=["RS256"], audience="posts")["sub"] == "1"
    ours.close()


@pytest.mark.threat(226)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_shared_secret_lets_the_verifier_forge_and_ours_does_not_take_it(users: tuple[str, Issuer]) -> None:
    theirs = load(GUIDE / "theirs" / "shared_secret.py")
    client = theirs.app.test_client()
    forged = jwt.encode({"user_id": 2}, theirs.SECRET_KEY, algorithm="HS256")  # by whoever runs posts-service
    answer = client.get("/posts", headers={"Authorization": f"Bearer {forged}"})
    assert answer.json[0]["user_id"] == 2
    ours = Watchword(issuer=users[0], audience="posts", environ={})
    with pytest.raises(TokenError):
        ours.verify(forged)
    ours.close()


@pytest.mark.threat(232)
def test_the_guides_sample_secret_is_refused_by_name() -> None:
    theirs = load(GUIDE / "theirs" / "shared_secret.py")
    with pytest.raises(KeyRejected):
        SharedSecret(theirs.SECRET_KEY.encode())
    with pytest.raises(KeyRejected):
        SharedSecret((theirs.SECRET_KEY * 4).encode())


@pytest.mark.threat(228)
def test_the_guides_tokens_without_audience_issuer_and_expiry_are_refused(
    users: tuple[str, Issuer], folder: Path
) -> None:
    url, issuer = users
    private = FileKeyStore(folder).load().active.key
    token = jwt.encode(
        {"user_id": 1, "username": "john_doe"},
        private.insecure_private_pem(),
        algorithm="RS256",
        headers={"kid": issuer.keyring.active.kid},
    )
    ours = Watchword(issuer=url, audience="posts", environ={})
    with pytest.raises(TokenError):
        ours.verify(token)
    ours.close()


@pytest.mark.threat(230)
def test_keys_are_never_fetched_over_plain_http_from_another_machine() -> None:
    with pytest.raises(ConfigurationError, match="https"):
        Watchword(issuer="http://users.example", audience="posts", environ={})


@pytest.mark.threat(228)
def test_a_verifier_without_issuer_or_audience_cannot_be_made() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Watchword(environ={})
    assert {problem.partition(":")[0] for problem in refused.value.problems} == {
        "WATCHWORD_ISSUER",
        "WATCHWORD_AUDIENCE",
    }


@pytest.mark.threat(234)
def test_our_tokens_hold_no_name_of_a_person(users: tuple[str, Issuer]) -> None:
    claims = jwt.decode(users[1].issue("1", "posts"), options={"verify_signature": False})
    assert set(claims) == {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "txn"}


def test_the_key_never_leaves_a_folder_that_only_its_owner_reads(
    users: tuple[str, Issuer], folder: Path
) -> None:
    assert folder.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
