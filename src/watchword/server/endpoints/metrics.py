"""`GET /metrics`: for Prometheus, and only on the listeners of the operator."""

from watchword.server.answer import Answer
from watchword.server.metrics import Metrics
from watchword.server.request import Request
from watchword.telemetry.exposition import CONTENT_TYPE


class MetricsEndpoint:
    """Answers with the page of the moment."""

    __slots__ = ("_metrics",)

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def __call__(self, _: Request) -> Answer:
        """Return every metric."""
        return Answer(200, await self._metrics.page(), CONTENT_TYPE)
