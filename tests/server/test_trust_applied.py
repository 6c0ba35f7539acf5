"""`watchword trust plan | apply | show` beside a running server: planned, compared, in force at once."""

import os

import pytest

WIDER = """
[[services.posts.allow]]
caller = "users"
scopes = ["posts:read"]
on_behalf_of = "any"
"""


@pytest.fixture
def wider(tmp_path):
    """A document with one more rule: users may call posts."""

    def write(served):
        path = served.folder / "wider.toml"
        path.write_text((served.folder / "trust.toml").read_text() + WIDER)
        return path.name

    return write


def test_a_plan_shows_what_would_change_and_changes_nothing(start, wider) -> None:
    served = start()
    name = wider(served)
    planned = served.told("trust", "plan", name, exit_code=3)
    (change,) = planned["changes"]
    assert (change["action"], change["what"], change["place"]) == ("add", "rule", "services.posts.allow")
    done = served.command("trust", "plan", name)
    assert "+ [[services.posts.allow]]" in done.stdout
    assert f"--expect {planned['in_force']}" in done.stdout
    assert served.token("users", audience="posts").status == 400
    assert served.told("trust", "plan", "trust.toml")["changes"] == []
    assert served.command("trust", "plan", "trust.toml").stdout.startswith("nothing would change")


def test_what_is_applied_decides_the_next_request_and_stays_after_a_restart(start, wider) -> None:
    served = start()
    name = wider(served)
    planned = served.told("trust", "plan", name, exit_code=3)
    applied = served.told("trust", "apply", name, "--expect", planned["in_force"])
    assert applied["digest"] == planned["digest"]
    assert served.token("users", audience="posts").status == 200
    (event,) = [event for event in served.events() if event["type"] == "trust.applied"][1:]
    assert (event["actor"], event["reason"]) == (f"operator|{os.geteuid()}", planned["digest"])
    # the file of the setting is the old one: it was applied before, so it undoes nothing
    assert served.stop() == 0
    assert start().token("users", audience="posts").status == 200


def test_of_two_who_planned_only_the_first_applies(start, wider) -> None:
    served = start()
    name = wider(served)
    planned = served.told("trust", "plan", name, exit_code=3)
    served.told("trust", "apply", name, "--expect", planned["in_force"])
    refused = served.told("trust", "apply", "trust.toml", "--expect", planned["in_force"], exit_code=1)
    assert refused["code"] == "changed_meanwhile"
    assert served.token("users", audience="posts").status == 200
    assert served.events()[-2]["type"] == "operation.refused"


def test_the_file_of_the_setting_that_was_applied_by_hand_is_not_new_at_the_next_start(start, wider) -> None:
    served = start()
    name = wider(served)
    (served.folder / "trust.toml").write_text((served.folder / name).read_text())
    served.told("trust", "apply", "trust.toml")
    (served.folder / name).write_text("version = 1\n")
    served.told("trust", "apply", name)
    assert served.stop() == 0
    environ = dict(served.environ)
    again = type(served)(served.folder, TRUST="trust.toml")  # not by `start`, which writes the file anew
    try:
        assert again.token().status == 401  # the empty document is in force: nobody is known
        assert environ == again.environ
    finally:
        again.stop()


@pytest.mark.threat(246)
def test_a_document_with_mistakes_is_refused_with_every_one_of_them(start) -> None:
    served = start()
    (served.folder / "bad.toml").write_text('version = 1\n[services.x]\ncolour = "red"\n')
    for verb in ("plan", "apply"):
        refused = served.told("trust", verb, "bad.toml", exit_code=2)
        assert refused["code"] == "trust_document_invalid"
        assert len(refused["problems"]) >= 2
    # whoever speaks to the socket without the command line is no better off
    reply = served.at_socket("/admin/trust/apply", b'{"document": {"version": 1, "services": {"x": {}}}}')
    assert (reply.status, reply.json()["code"]) == (400, "trust_document_invalid")


def test_what_is_shown_could_be_applied_and_explained(start, wider) -> None:
    served = start()
    shown = served.command("trust", "show")
    assert shown.stdout.startswith("# in force: digest ")
    (served.folder / "shown.toml").write_text(shown.stdout)
    assert served.told("trust", "plan", "shown.toml")["changes"] == []
    call = ("--caller", "users", "--callee", "posts", "--kind", "service")
    assert served.told("trust", "explain", *call, exit_code=1)["error"] == "invalid_target"
    served.told("trust", "apply", wider(served))
    assert served.told("trust", "explain", *call)["rules"] == ["services.posts.allow[0]"]


def test_without_a_server_a_document_is_applied_to_the_folder(start, wider) -> None:
    served = start()
    name = wider(served)
    assert served.stop() == 0
    served.told("trust", "apply", name)
    assert start().token("users", audience="posts").status == 200
