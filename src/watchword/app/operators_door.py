"""What the operator may ask of a running service: on sockets of its own, never on `LISTEN`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from socket import AF_UNIX, socket

from watchword.server.admin import OwnerProtocol, admin_application, metrics_application
from watchword.server.application import Application
from watchword.server.serving import serving_beside
from watchword.server.tls import ReloadingTLS


@asynccontextmanager
async def operators_door(
    application: Application, tls: ReloadingTLS | None, sockets: Sequence[socket]
) -> AsyncIterator[None]:
    """Serve operations and metrics on Unix sockets, metrics alone on others, for the time of an `async with`.

    Args:
        application: whose operations and metrics.
        tls: whose certificate has an end.
        sockets: bound already. On a Unix socket only the owner is answered.
    """
    if application.metrics is None:
        yield
        return
    if tls is not None:
        application.metrics.gauges.append(tls.gauges)
    admin = admin_application(application.metrics, application.administration, application.stop_sign)
    metrics_alone = metrics_application(application.metrics, application.stop_sign)
    async with AsyncExitStack() as stack:
        for listener in sockets:
            serving = (
                serving_beside(admin, listener, protocol=OwnerProtocol)
                if listener.family == AF_UNIX
                else serving_beside(metrics_alone, listener)
            )
            await stack.enter_async_context(serving)
        yield
