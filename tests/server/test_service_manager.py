"""What systemd is told, by a real process to a real socket."""

import contextlib
import signal
import socket

import pytest


@contextlib.contextmanager
def manager(address):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(20)
        listening.bind(address.replace("@", "\0", 1))
        yield listening


def told(listening) -> dict[str, str]:
    return dict(line.split("=", 1) for line in listening.recv(4_096).decode().splitlines())


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_when_it_serves_and_when_it_stops(start, monkeypatch, tmp_path, abstract):
    address = f"@watchword-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with manager(address) as listening:
        served = start()
        ready = told(listening)
        assert ready["READY"] == "1"
        assert served.ready["address"] in ready["STATUS"]
        served.process.send_signal(signal.SIGTERM)
        assert told(listening)["STOPPING"] == "1"
        assert served.process.wait(20) == 0


def test_the_watchdog_gets_signs_of_life(start, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    with manager(str(tmp_path / "notify")) as listening:
        start()
        seen = [told(listening) for _ in range(4)]
        assert seen.count({"WATCHDOG": "1"}) == 3
        assert sum("READY" in state for state in seen) == 1


@pytest.mark.parametrize(("due", "whose"), [("0", ""), ("soon", ""), ("1000", "1")])
def test_nobody_else_s_watchdog_gets_one(start, monkeypatch, tmp_path, due, whose):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", due)
    monkeypatch.setenv("WATCHDOG_PID", whose)
    with manager(str(tmp_path / "notify")) as listening:
        served = start()
        assert "READY" in told(listening)
        served.process.send_signal(signal.SIGTERM)
        assert "STOPPING" in told(listening)


def test_a_manager_that_is_gone_keeps_nobody_from_serving(start, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    served = start()
    assert served.token().status == 200
    assert served.stop() == 0
