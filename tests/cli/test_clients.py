"""`watchword clients`: what it makes is what the trust document and a service take."""

import hashlib
import json
import os
import stat

import pytest

from watchword.cli import main
from watchword.tokens.private_key import PrivateKey
from watchword.trust.document import parse


def document(line: str, folder):
    return parse(
        f'version = 1\n[services."posts"]\naudience = "posts"\nscopes = ["posts:read"]\n{line}', folder=folder
    )


@pytest.fixture(autouse=True)
def strange_umask():
    before = os.umask(0o000)
    yield
    os.umask(before)


@pytest.mark.threat(213)
@pytest.mark.threat(214)
@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "EdDSA", "RS256"])
def test_a_key_goes_to_its_owners_file_and_its_public_half_to_the_document(tmp_path, capsys, algorithm):
    out = tmp_path / "posts.pem"
    assert (
        main(["clients", "new-key", "--client-id", "posts", "--out", str(out), "--algorithm", algorithm]) == 0
    )
    told = capsys.readouterr()
    key = PrivateKey.from_pem(out.read_bytes())
    assert key.alg == algorithm
    registered = document(told.out, tmp_path).services["posts"].jwks.named(key.kid)
    assert registered == key.public
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert "PRIVATE" not in told.out + told.err


@pytest.mark.threat(213)
def test_a_secret_goes_to_its_owners_file_and_its_hash_to_the_document(tmp_path, capsys):
    out = tmp_path / "posts.secret"
    assert main(["clients", "new-secret", "--client-id", "posts", "--out", str(out)]) == 0
    told = capsys.readouterr()
    secret = out.read_text()
    assert len(secret) == 43
    assert secret not in told.out + told.err
    assert document(told.out, tmp_path).services["posts"].secret_sha256 == (
        hashlib.sha256(secret.encode()).hexdigest(),
    )
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


@pytest.mark.parametrize("command", ["new-key", "new-secret"])
def test_nothing_is_ever_overwritten_not_even_through_a_link(tmp_path, capsys, command):
    taken, link = tmp_path / "taken", tmp_path / "link"
    taken.write_text("mine")
    link.symlink_to(tmp_path / "nowhere")
    for place in (taken, link):
        assert main(["clients", command, "--client-id", "posts", "--out", str(place)]) == 2
        assert "never overwritten" in capsys.readouterr().err
    assert taken.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("command", ["new-key", "new-secret"])
def test_programs_get_the_same_as_one_object(tmp_path, capsys, command):
    assert main(["clients", command, "--client-id", "posts", "--out", str(tmp_path / "x"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["client_id"] == "posts"
    assert told["trust"].startswith("[services.posts]\n")


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "a\nb", "../a", "a" * 200])
def test_a_name_that_would_break_the_document_is_refused(tmp_path, name):
    assert main(["clients", "new-secret", "--client-id", name, "--out", str(tmp_path / "x")]) == 2
    assert list(tmp_path.iterdir()) == []
