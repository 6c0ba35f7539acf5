"""One HTTP request with a total deadline, and flights: one request that many wait for.

What the SDK core speaks to issuers with: `http.client` and `ssl`, nothing else. Proxies from the
environment are not used: tokens and client credentials go to the configured origin or nowhere.
"""

from watchword.fetch.flights import Flight, Flights, Waiting, run, run_async
from watchword.fetch.origin import Origin, demand_safe, is_loopback, origin_of
from watchword.fetch.transport import Flow, Request, Response, Transport
from watchword.fetch.workers import Workers

__all__ = [
    "Flight",
    "Flights",
    "Flow",
    "Origin",
    "Request",
    "Response",
    "Transport",
    "Waiting",
    "Workers",
    "demand_safe",
    "is_loopback",
    "origin_of",
    "run",
    "run_async",
]
