"""Starts the processes of a service, replaces whoever dies or hangs, and ends them all together."""

import contextlib
import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from watchword.app.workers.child import Child, Duty, fork
from watchword.app.workers.line import AT_ONCE, STOP, heard, revived
from watchword.app.workers.patience import Patience
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ServerError, WatchwordError

logger = logging.getLogger("watchword.app")

START_SECONDS = 60.0
"""How long a process may take until it serves."""
HANG_SECONDS = 30.0
"""How long a process that serves may give no sign of life."""
END_SECONDS = 26.0
"""How long all together may take to end: connections have 20 s, then the databases are closed."""
TURN_SECONDS = 0.5
_SLEPT_SECONDS = 10.0


class Post:
    """A place in the service that is always filled.

    Args:
        name: for the log.
        duty: what whoever stands there does.
        last_beat: when they last gave a sign of life, monotonic.
        serves: whether requests are answered there; without anybody who does there is no service.
    """

    def __init__(self, name: str, duty: Duty, last_beat: Callable[[], float], *, serves: bool) -> None:
        self.name = name
        self.duty = duty
        self.last_beat = last_beat
        self.serves = serves
        self.patience = Patience()
        self.child: Child | None = None
        self.ready = False
        self.problem: WatchwordError | None = None
        self.since = 0.0
        self.due = 0.0


class Supervisor:
    """Keeps every post filled until a signal comes.

    Args:
        posts: in the order in which they are filled at first; each waits until the one before it serves.
        clock: its monotonic time.
        hang_seconds: how long one may give no sign of life.
        turn_seconds: how often it looks around when nobody wakes it up.
        on_replaced: told of each replacement, for metrics.
        on_turn: called each time when it has looked around, once everybody serves.
    """

    def __init__(
        self,
        posts: Sequence[Post],
        *,
        clock: Clock = SYSTEM_CLOCK,
        hang_seconds: float = HANG_SECONDS,
        turn_seconds: float = TURN_SECONDS,
        on_replaced: Callable[[], None] = lambda: None,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._posts = posts
        self._clock = clock
        self._hang_seconds = hang_seconds
        self._turn_seconds = turn_seconds
        self._on_replaced = on_replaced
        self._on_turn = on_turn
        self._started = False
        self._signals = 0
        self._last_turn = self._awake_since = clock.monotonic()
        self._selector = selectors.DefaultSelector()

    def run(self, *, on_ready: Callable[[], None], on_stopping: Callable[[], None]) -> None:
        """Fill the posts, keep them filled until SIGINT or SIGTERM, then end everybody.

        Raises:
            WatchwordError: why a process cannot serve; all are ended then.
        """
        with self._heeding_signals():
            try:
                for post in self._posts:
                    self._fill(post)
                    while not post.ready and not self._signals:
                        self._turn()
                self._started = True
                if not self._signals:
                    on_ready()
                while not self._signals:
                    self._turn()
                    self._on_turn()
                on_stopping()
            finally:
                self._end_all()

    def _turn(self) -> None:
        """Hear what there is to hear, see who died, and replace them when their time has come.

        Raises:
            WatchwordError: of a process that cannot serve while no other does.
        """
        self._hear(self._turn_seconds)
        now = self._clock.monotonic()
        if now - self._last_turn > _SLEPT_SECONDS:
            self._awake_since = now  # all were stopped, so nobody's silence means anything
        self._last_turn = now
        for post in self._posts:
            self._see(post, now)
            if post.child is None and post.since and post.due <= now and not self._signals:
                self._on_replaced()
                self._fill(post)

    def _fill(self, post: Post) -> None:
        others = [other.child.line for other in self._posts if other.child is not None]
        post.since, post.ready, post.problem = self._clock.monotonic(), False, None
        try:
            post.child = fork(post.duty, not_its=others)
        except OSError as error:
            post.problem = ServerError(f"cannot start a process: {(error.strerror or str(error)).lower()}")
            self._died(post, post.since)
            return
        self._selector.register(post.child.line, selectors.EVENT_READ, post)

    def _see(self, post: Post, now: float) -> None:
        """Notice that somebody died, or hangs."""
        if post.child is None:
            return
        silent = now - max(post.since, post.last_beat(), self._awake_since)
        if silent > (self._hang_seconds if post.ready else START_SECONDS):
            logger.error("%s (process %d) gives no sign of life: it is replaced", post.name, post.child.pid)
            os.kill(post.child.pid, signal.SIGKILL)
            os.waitpid(post.child.pid, 0)
        elif not _ended(post.child.pid):
            return
        self._listen_to(post)
        self._let_go(post)
        self._died(post, now)

    def _died(self, post: Post, now: float) -> None:
        """Decide when a post is filled again.

        Raises:
            WatchwordError: whoever stood there never served, at the first start or when no other does.
        """
        if self._signals:
            return
        nobody_serves = not any(other.ready and other.serves for other in self._posts)
        if not post.ready and (not self._started or (post.serves and nobody_serves)):
            raise post.problem or ServerError(f"{post.name} ended before it served; the log says why")
        pause = post.patience.after(now - post.since if post.ready else 0.0)
        post.ready, post.due = False, now + pause
        logger.error("%s ended%s; another one begins in %.2g s", post.name, _reason(post), pause)

    def _hear(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, Post):
                self._listen_to(key.data)
            elif isinstance(key.fileobj, socket.socket):
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv(4_096)  # signals wake us up; their handlers have counted them

    def _listen_to(self, post: Post) -> None:
        if post.child is None:
            return
        try:
            text = post.child.line.recv(65_536)
        except OSError:
            return
        if not text and post.child.line in self._selector.get_map():
            self._selector.unregister(post.child.line)  # it ended, or is about to
        for word in heard(text):
            if word.ready:
                post.ready = True
            else:
                post.problem = revived(word)

    def _let_go(self, post: Post) -> None:
        if post.child is not None:
            if post.child.line in self._selector.get_map():
                self._selector.unregister(post.child.line)
            post.child.line.close()
            post.child = None

    def _end_all(self) -> None:
        """Tell all to end and wait for them, a bounded time; a second signal makes it shorter."""
        given_up = self._clock.monotonic() + END_SECONDS
        told, before = STOP, self._signals
        for post in self._posts:
            _tell(post, told)
        while any(post.child for post in self._posts):
            if self._signals > before and told is STOP:
                told = AT_ONCE
                for post in self._posts:
                    _tell(post, told)
            late = self._clock.monotonic() > given_up
            for post in self._posts:
                if post.child is None:
                    continue
                if late:
                    logger.error("%s did not end in time", post.name)
                    os.kill(post.child.pid, signal.SIGKILL)
                    os.waitpid(post.child.pid, 0)
                elif not _ended(post.child.pid):
                    continue
                self._let_go(post)
            if any(post.child for post in self._posts):
                self._hear(0.05)
        self._selector.close()

    @contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        """Count SIGINT and SIGTERM, and wake up for them and for the end of a child."""
        waking, woken = socket.socketpair()
        waking.setblocking(False)
        woken.setblocking(False)

        def count(_number: int, _frame: object) -> None:
            self._signals += 1

        handlers = {signal.SIGINT: count, signal.SIGTERM: count, signal.SIGCHLD: lambda *_: None}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        previous = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ, woken)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)
            waking.close()
            woken.close()


def _tell(post: Post, word: bytes) -> None:
    if post.child is not None:
        with contextlib.suppress(OSError):  # it is gone already
            post.child.line.send(word)


def _ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def _reason(post: Post) -> str:
    return "" if post.problem is None else f": {post.problem}"
