"""A whole token service in several processes: who does what, and what all of them share."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import uvloop

from watchword.app.build import opened
from watchword.app.config import ServerSettings
from watchword.app.gauges import ProcessGauges
from watchword.app.listening import operators_sockets
from watchword.app.notify import Notifier
from watchword.app.operators_door import operators_door
from watchword.app.role import Role
from watchword.app.workers.line import ChildsEnd
from watchword.app.workers.shared import Shared
from watchword.app.workers.supervisor import TURN_SECONDS, Post, Supervisor
from watchword.clock import SYSTEM_CLOCK
from watchword.grants import GRANTS
from watchword.server.metrics import Metrics
from watchword.server.serving import GracefulServer
from watchword.server.tls import ReloadingTLS
from watchword.storage.held import held_sqlite

logger = logging.getLogger("watchword.app")

SUPERVISOR, KEEPER, FIRST_WORKER = 0, 1, 2
"""Numbers of the processes in what they share."""

_BEAT_SECONDS = 1.0


def run_processes(
    settings: ServerSettings, listener: socket.socket, notifier: Notifier, on_ready: Callable[[], None]
) -> None:
    """Serve in `settings.workers` processes until SIGINT or SIGTERM, then let all of them finish.

    Args:
        settings: of the service.
        listener: bound to `LISTEN`; every worker accepts there.
        notifier: the service manager listens to this process only.
        on_ready: called once every process serves.

    Raises:
        WatchwordError: why it cannot start.
    """
    workers = range(FIRST_WORKER, FIRST_WORKER + settings.workers)
    shared = Shared(workers.stop)
    with held_sqlite(settings.database) as installation, operators_sockets(settings) as sockets:
        if installation.restored:
            logger.warning("the database is older than its folder: somebody put a copy of it back")

        def keep(line: ChildsEnd) -> None:
            # the trust file is applied when the service starts, not when a process of it is replaced
            own = replace(settings, trust=None) if shared.last_beat(SUPERVISOR) else settings
            role = Role(writer=installation.writer, board=shared.board(KEEPER))
            _live(_keep(own, role, sockets, line, shared), shared, KEEPER)

        def work(number: int, line: ChildsEnd) -> None:
            for operators in sockets:
                operators.close()
            writer = f"{installation.writer}.{number - KEEPER}"
            role = Role(
                writer=writer,
                keeps=False,
                board=shared.board(number),
                client_accounts=shared.client_accounts,
                address_accounts=shared.address_accounts,
            )
            _live(_work(settings, role, listener, line), shared, number)

        posts = [
            _post("the keeper", KEEPER, keep, shared),
            *(_post(f"worker {n - KEEPER}", n, partial(work, n), shared) for n in workers),
        ]
        metrics = Metrics(GRANTS, board=shared.board(SUPERVISOR))

        def look_around() -> None:
            shared.beat(SUPERVISOR, SYSTEM_CLOCK.monotonic())
            notifier.alive()

        gc.collect()
        gc.freeze()  # what is loaded by now is shared with the children as long as nobody touches it
        watchdog = notifier.watchdog_seconds
        Supervisor(
            posts,
            turn_seconds=TURN_SECONDS if watchdog is None else min(TURN_SECONDS, watchdog / 2),
            on_replaced=metrics.replacements.add,
            on_turn=look_around,
        ).run(on_ready=on_ready, on_stopping=notifier.stopping)


def _post(name: str, number: int, duty: Callable[[ChildsEnd], None], shared: Shared) -> Post:
    return Post(name, duty, lambda: shared.last_beat(number), serves=number >= FIRST_WORKER)


def _live(serving: Coroutine[Any, Any, None], shared: Shared, number: int) -> None:
    """Run an event loop in this process until its part is done, with signs of life."""

    async def live() -> None:
        beating = asyncio.create_task(_beat(shared, number))
        try:
            await serving
        finally:
            beating.cancel()

    asyncio.Runner(loop_factory=uvloop.new_event_loop).run(live())


async def _beat(shared: Shared, number: int) -> None:
    while True:
        shared.beat(number, SYSTEM_CLOCK.monotonic())
        await asyncio.sleep(_BEAT_SECONDS)


async def _keep(
    settings: ServerSettings, role: Role, sockets: Sequence[socket.socket], line: ChildsEnd, shared: Shared
) -> None:
    """Do what one process alone does, until the supervisor says that it is over."""
    tls = None if settings.tls is None else ReloadingTLS(settings.tls)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    line.listen(over.set)
    async with opened(settings, role=role) as application:
        if application.metrics is not None:
            workers = range(FIRST_WORKER, FIRST_WORKER + settings.workers)
            application.metrics.gauges.append(ProcessGauges(shared.last_beat, workers, SYSTEM_CLOCK))
        async with operators_door(application, tls, sockets):
            line.ready()
            await over.wait()
            application.stop_sign.raised = True


async def _work(settings: ServerSettings, role: Role, listener: socket.socket, line: ChildsEnd) -> None:
    """Answer requests until the supervisor says that it is over."""
    tls = None if settings.tls is None else ReloadingTLS(settings.tls)
    async with opened(settings, role=role) as application:
        server = GracefulServer(
            application,
            on_ready=line.ready,
            tls=None if tls is None else tls.context,
            signals=(signal.SIGTERM,),
        )
        line.listen(server.stop)
        await server.serve(sockets=[listener])
