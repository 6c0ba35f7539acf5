"""The pages about moving: old code with the old library, both side by side, the new code; all of it runs."""

from pathlib import Path

import pytest

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_from_flask_jwt_extended(walk) -> None:
    assert walk(PAGES / "moving-from-flask-jwt-extended.md") == {"file": 5, "sh": 4, "python": 4}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_from_pyjwt(walk, reader, monkeypatch: pytest.MonkeyPatch) -> None:
    assert walk(PAGES / "moving-from-pyjwt.md") == {"file": 6, "sh": 3, "python": 2}
    monkeypatch.chdir(reader.terminal.folder)
    for name, value in reader.terminal.environment.items():
        monkeypatch.setenv(name, value)
    token = reader.session["token"]
    for name in ("verify.py", "still_pyjwt.py"):
        page: dict[str, object] = {"__name__": "page"}
        exec((reader.terminal.folder / name).read_text(), page)
        assert page["reader_of"](token) == "john_doe"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_from_simple_jwt(walk) -> None:
    assert walk(PAGES / "moving-from-simplejwt.md") == {"file": 4, "sh": 3, "python": 2}
