"""Who watches over the processes of a service: deaths, silences and endings, with real forks."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchword.app.workers.line import Word, heard, revived
from watchword.app.workers.patience import FIRST_PAUSE, LONG_ENOUGH, LONGEST_PAUSE, Patience
from watchword.errors import ConfigurationError, DataFolderInUse, KeyringError, ServerError, TrustError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these signals of death")

# a process of its own: it forks, and takes the signals for itself
STORY = """
import asyncio, json, os, signal, sys
from watchword.app.workers.shared import Shared
from watchword.app.workers.supervisor import Post, Supervisor
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import ConfigurationError, WatchwordError

shared = Shared(4)
told = []

def serve(number, line, deed=None):
    async def live():
        over = asyncio.Event()
        line.listen(over.set)
        line.ready()
        lives = shared.client_accounts.empty_at(f"lives {number}", 0.0)
        shared.client_accounts.keep(f"lives {number}", lives + 1)
        if deed is not None:
            deed(lives)
        while not over.is_set():
            shared.beat(number, SYSTEM_CLOCK.monotonic())
            try:
                await asyncio.wait_for(over.wait(), 0.02)
            except TimeoutError:
                continue
    asyncio.run(live())

def once_all_serve():
    while not shared.last_beat(0):
        pass

def die(before=0):
    once_all_serve()
    os._exit(3)

def lives(number):
    return shared.client_accounts.empty_at(f"lives {number}", 0.0)

def post(number, deed=None, duty=None):
    duty = duty or (lambda line: serve(number, line, deed))
    return Post(f"worker {number}", duty, lambda: shared.last_beat(number), serves=True)

def run(posts, until=lambda: True, **more):
    def turn():
        if until():
            os.kill(os.getpid(), signal.SIGTERM)
    def ready():
        shared.beat(0, 1.0)
        told.append("ready")
    replaced = lambda: told.append("replaced")
    supervisor = Supervisor(posts, turn_seconds=0.02, on_turn=turn, on_replaced=replaced, **more)
    try:
        supervisor.run(on_ready=ready, on_stopping=lambda: told.append("stopping"))
    except WatchwordError as error:
        told.append([error.code, str(error)])
    try:
        os.waitpid(-1, os.WNOHANG)
        told.append("somebody is left")
    except ChildProcessError:
        pass
    print(json.dumps(told))

"""


def told(story: str) -> list:
    done = subprocess.run(
        [sys.executable, "-c", STORY + story], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_all_serve_before_it_is_ready_and_nobody_is_left_behind():
    assert told("run([post(1), post(2)])") == ["ready", "stopping"]


def test_who_is_silent_is_replaced():
    story = """
def hang(before):
    if not before:
        once_all_serve()
        signal.pause()
run([post(1), post(2, hang)], lambda: lives(2) == 2, hang_seconds=0.3)
"""
    assert told(story) == ["ready", "replaced", "stopping"]


def test_who_hangs_does_not_keep_the_others_from_ending():
    story = """
import watchword.app.workers.supervisor as supervisor
supervisor.END_SECONDS = 0.3
def hang(before):
    signal.pause()
run([post(1), post(2, hang)])
"""
    assert told(story) == ["ready", "stopping"]


def test_who_dies_again_and_again_is_replaced_after_pauses():
    story = """
run([post(1), post(2, die)], lambda: lives(2) == 4)
"""
    assert told(story) == ["ready", *["replaced"] * 3, "stopping"]


@given(st.lists(st.floats(0, LONG_ENOUGH - 1, allow_nan=False), min_size=1, max_size=40))
def test_the_first_death_costs_no_time_and_early_ones_behind_it_ever_more(lives):
    patience = Patience()
    pauses = [patience.after(lived) for lived in lives]
    assert pauses[0] == 0
    assert pauses[1:] == [min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(len(lives) - 1)]
    assert patience.after(LONG_ENOUGH) == 0


@pytest.mark.parametrize(
    ("deed", "code", "words"),
    [
        ("raise ConfigurationError(['one', 'two'])", "configuration_invalid", "one; two"),
        (
            "raise ZeroDivisionError",
            "server_error",
            "a process of this service failed: unexpected ZeroDivisionError",
        ),
        ("os._exit(3)", "server_error", "worker 2 ended before it served; the log says why"),
    ],
)
def test_who_cannot_serve_at_the_first_start_ends_the_whole_with_its_words(deed, code, words):
    story = f"""
def fail(line):
    {deed}
run([post(1), post(2, duty=fail), post(3)])
"""
    assert told(story) == [[code, words]]


def test_who_cannot_serve_later_is_tried_again_while_another_serves_and_ends_the_whole_if_none_does():
    story = """
def once(line):
    if lives(2):
        shared.client_accounts.keep("failures", shared.client_accounts.empty_at("failures", 0.0) + 1)
        raise ConfigurationError("not any more")
    serve(2, line, die)
others = [post(1)] if sys.argv[-1] == "others" else []
run([*others, post(2, duty=once)], lambda: shared.client_accounts.empty_at("failures", 0.0) == 2)
"""
    assert told("sys.argv.append('others')\n" + story) == ["ready", "replaced", "replaced", "stopping"]
    assert told(story) == ["ready", "replaced", ["configuration_invalid", "not any more"]]


def test_a_signal_during_the_start_ends_it_without_a_word():
    story = """
def slow(line):
    os.kill(os.getppid(), signal.SIGTERM)
    signal.pause()
import watchword.app.workers.supervisor as supervisor
supervisor.END_SECONDS = 0.3
run([post(1, duty=slow), post(2)])
"""
    assert told(story) == ["stopping"]


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError(["one", "two"]), TrustError("three"), KeyringError("four"),
        DataFolderInUse("five", holder="6"),
    ],
)  # fmt: skip
def test_an_error_comes_over_the_line_as_what_it_was(error):
    problems = tuple(getattr(error, "problems", (str(error),)))
    again = revived(Word(code=error.code, problems=problems))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert getattr(again, "problems", None) == getattr(error, "problems", None)


def test_what_is_no_word_was_cut_off():
    assert heard(b'{"ready":true}\n{"code":"x","prob') == [Word(ready=True)]
    assert isinstance(revived(Word(code="nobody knows this", problems=("words",))), ServerError)
