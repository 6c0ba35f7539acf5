"""RabbitMQ takes our tokens as passwords, and their scopes as permissions."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from watchword.testing.forgery import Forgery

PAGE = "rabbitmq"
AUDIENCE = "rabbitmq"
PATIENCE = 120.0
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
INTEROP = Path(__file__).resolve().parents[1] / ".venv-interop"
LET_IN = {Forgery.WRONG_TYPE, Forgery.WRONG_ISSUER, Forgery.NO_EXPIRY}
ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"


@pytest.fixture(scope="module")
def packages() -> str:
    """Where pika is; the SDK's environment has no use for it."""
    for folder in INTEROP.glob("lib/python*/site-packages"):
        if (folder / "pika").is_dir():
            return str(folder)
    pytest.skip("pika is not installed; run: make interop-deps")


@pytest.fixture(scope="module")
def pika(packages: str) -> Iterator[Any]:
    sys.path.append(packages)
    yield importlib.import_module("pika")
    sys.path.remove(packages)


@pytest.fixture(scope="module")
def relay(over_tls: Any) -> Iterator[Any]:
    with over_tls.serving("localhost") as published:
        yield published


@pytest.fixture(scope="module")
def broker(page: Any, running: Any, authority: Any, relay: Any, installed: Callable[..., str]) -> None:
    server = installed("rabbitmq-server", folder=PROGRAMS)
    epmd = installed("epmd")  # of our own, so that it ends with the test
    configuration = page.write("rabbitmq.conf", **{"https://tokens.example": relay.url})
    advanced = page.write("advanced.config", **{"10000": "1000"})
    (page.folder / "enabled_plugins").write_text("[rabbitmq_auth_backend_oauth2].\n")
    names = str(page.port(5003))
    running.start("epmd", epmd, "-address", "127.0.0.1", "-port", names, port=page.port(5003))
    running.start(
        "rabbitmq", server, port=page.port(5672), patience=PATIENCE,
        ERL_EPMD_PORT=names, ERL_EPMD_ADDRESS="127.0.0.1",
        RABBITMQ_NODENAME="watchword@localhost", RABBITMQ_DIST_PORT=str(page.port(5004)),
        RABBITMQ_CONFIG_FILE=str(configuration.with_suffix("")), RABBITMQ_CONF_ENV_FILE="/dev/null",
        RABBITMQ_ADVANCED_CONFIG_FILE=str(advanced),
        RABBITMQ_ENABLED_PLUGINS_FILE=str(page.folder / "enabled_plugins"),
        RABBITMQ_MNESIA_BASE=str(page.folder / "mnesia"), RABBITMQ_LOGS="-",
        RABBITMQ_LOG_BASE=str(page.folder), RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=ERLANG,
    )  # fmt: skip
    running.wait_for("rabbitmq", lambda: "startup complete" in running.said("rabbitmq") or None)


@pytest.fixture(scope="module")
def connect(broker: None, pika: Any, page: Any) -> Callable[[str], Any]:
    def to(token: str) -> Any:
        login = pika.PlainCredentials("root", token)
        return pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", page.port(5672), "/", login, socket_timeout=30)
        )

    return to


def test_a_worker_publishes_and_reads_with_a_token_and_renews_it(
    broker: None, page: Any, running: Any, packages: str
) -> None:
    ran = running.run(sys.executable, page.write("worker.py"), PYTHONPATH=packages)
    assert (ran.stdout, ran.stderr) == ("two teas\n", "")
    assert "user 'worker' authenticated and granted access" in running.said("rabbitmq")


def test_a_forged_token_does_not_connect_but_for_what_the_page_says(
    connect: Any, pika: Any, authority: Any, forgery: Any
) -> None:
    if forgery in LET_IN:
        connect(authority.forge(forgery)).close()
        return
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(authority.forge(forgery))


def test_a_token_that_expired_a_second_ago_does_not_connect(connect: Any, pika: Any, authority: Any) -> None:
    draft = authority.draft()
    late = draft.saying(exp=draft.claims["iat"] - 1, iat=draft.claims["iat"] - 100).signed()
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        connect(late)


def test_a_password_does_not_connect(connect: Any, pika: Any) -> None:
    for password in ("guest", ""):
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            connect(password)


@pytest.mark.parametrize(
    ("scope", "refused"),
    [
        ("rabbitmq.read:*/orders", "queue 'orders'"),
        ("rabbitmq.configure:*/orders", "exchange 'amq.default'"),
        ("rabbitmq.configure:*/bills rabbitmq.write:*/bills", "queue 'orders'"),
    ],
)
def test_a_scope_is_a_permission_and_no_more(
    connect: Any, pika: Any, authority: Any, scope: str, refused: str
) -> None:
    connection = connect(authority.draft().saying(scope=scope).signed())
    channel = connection.channel()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match=refused):
        order(channel)
    connection.close()


def test_a_token_without_a_permission_for_rabbitmq_does_not_connect(
    connect: Any, pika: Any, authority: Any
) -> None:
    for scope in ("posts:read", "other.read:*/orders", None):
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            connect(authority.draft().saying(scope=scope).signed())


def test_a_connection_ends_with_its_token(connect: Any, pika: Any, authority: Any) -> None:
    draft = authority.draft()
    connection = connect(draft.saying(exp=draft.claims["iat"] + 3).signed())
    channel = connection.channel()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="ACCESS_REFUSED"):
        order_for_ever(channel)
    connection.close()


def test_what_it_does_not_look_at_is_what_the_page_says(connect: Any, authority: Any) -> None:
    draft = authority.draft()
    connect(draft.headed(crit=["new"], new=True).signed()).close()
    connect(draft.saying(nbf=draft.claims["exp"] - 1).signed()).close()
    connect(draft.saying(cnf={"jkt": "of a key that nobody shows"}).signed()).close()


def test_each_unknown_key_asks_the_issuer(connect: Any, pika: Any, authority: Any, relay: Any) -> None:
    before = relay.asked
    for _ in range(3):
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            connect(authority.forge(Forgery.UNKNOWN_KID))
    assert relay.asked == before + 3


def order(channel: Any) -> None:
    channel.queue_declare("orders")
    channel.basic_publish("", "orders", b"two teas")
    channel.basic_get("orders", auto_ack=True)


def order_for_ever(channel: Any) -> None:
    while True:
        order(channel)
