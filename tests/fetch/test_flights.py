"""One flight for all who wait, and nobody who waits can bring it down."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from watchword.errors import FetchFailed
from watchword.fetch import Flights, Waiting, Workers, run, run_async

GUARD = 20.0


class Job:
    """Counts its runs and stays in the air until it is let down."""

    def __init__(self) -> None:
        self.runs = 0
        self.started = threading.Event()
        self.land = threading.Event()
        self.result: str | None = None

    def __call__(self, _: float) -> str:
        self.runs += 1
        self.started.set()
        assert self.land.wait(GUARD)
        self.result = "landed"
        return self.result


def flow(flights: Flights[str, str], job: Job) -> Waiting[str]:
    if job.result is None:
        flight = flights.join("key", job, unless=lambda: job.result is not None)
        if flight is not None:
            return (yield flight)
    assert job.result is not None
    return job.result


@pytest.mark.threat(69)
def test_two_hundred_threads_share_one_flight() -> None:
    flights: Flights[str, str] = Flights(timeout=GUARD, workers=Workers(4))
    job, barrier = Job(), threading.Barrier(201)

    def wait() -> str:
        barrier.wait(GUARD)
        return run(flow(flights, job))

    with ThreadPoolExecutor(200) as pool:
        waiting = [pool.submit(wait) for _ in range(200)]
        barrier.wait(GUARD)
        assert job.started.wait(GUARD)
        job.land.set()
        assert {future.result(GUARD) for future in waiting} == {"landed"}
    assert job.runs == 1


@pytest.mark.threat(70)
def test_the_first_who_waits_may_be_cancelled_and_the_others_still_arrive() -> None:
    async def story() -> tuple[list[str], int]:
        flights: Flights[str, str] = Flights(timeout=GUARD, workers=Workers(4))
        job = Job()
        leader = asyncio.create_task(run_async(flow(flights, job)))
        assert await asyncio.to_thread(job.started.wait, GUARD)
        others = [asyncio.create_task(run_async(flow(flights, job))) for _ in range(50)]
        await asyncio.gather(*(asyncio.to_thread(lambda: None) for _ in range(3)))
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        job.land.set()
        return await asyncio.gather(*others), job.runs

    results, runs = asyncio.run(story())
    assert (set(results), runs) == ({"landed"}, 1)


@pytest.mark.threat(70)
def test_a_flight_that_is_overdue_is_given_up_and_the_next_one_takes_over() -> None:
    flights: Flights[str, str] = Flights(timeout=GUARD, workers=Workers(2))
    stuck, second = Job(), Job()
    second.land.set()
    flight = flights.join("key", stuck)
    assert flight is not None
    flight.deadline = float("-inf")
    with pytest.raises(FetchFailed, match="deadline"):
        flight.wait()
    with pytest.raises(FetchFailed, match="deadline"):
        asyncio.run(flight.wait_async())
    assert run(flow(flights, second)) == "landed"
    stuck.land.set()


def test_a_failure_reaches_everyone_who_waits_and_is_not_kept() -> None:
    flights: Flights[str, str] = Flights(timeout=GUARD, workers=Workers(1))

    def fail(_: float) -> str:
        raise FetchFailed("on purpose")

    for _ in range(2):
        flight = flights.join("key", fail)
        assert flight is not None
        with pytest.raises(FetchFailed, match="on purpose"):
            flight.wait()


def test_nobody_starts_a_second_flight_for_what_has_just_landed() -> None:
    flights: Flights[str, str] = Flights(timeout=GUARD, workers=Workers(1))
    job = Job()
    job.land.set()
    flight = flights.join("key", job)
    assert flight is not None
    flight.wait()
    # this one looked into the store before the landing and asks for a flight after it
    assert flights.join("key", job, unless=lambda: job.result is not None) is None
    assert job.runs == 1


def test_different_keys_fly_at_the_same_time() -> None:
    flights: Flights[int, int] = Flights(timeout=GUARD, workers=Workers(8))
    barrier = threading.Barrier(8)

    def job(_: float) -> int:
        barrier.wait(GUARD)
        return 1

    found = [flights.join(key, job) for key in range(8)]
    assert [flight.wait() for flight in found if flight is not None] == [1] * 8


def test_more_jobs_than_workers_are_all_done() -> None:
    workers, done = Workers(3), threading.Semaphore(0)
    for _ in range(100):
        workers.submit(done.release)
    for _ in range(100):
        assert done.acquire(timeout=GUARD)
    ours = [thread for thread in threading.enumerate() if thread.name == "watchword"]
    assert all(thread.daemon for thread in ours)


def test_threads_end_when_workers_are_closed_and_come_back_when_needed() -> None:
    workers = Workers(2)
    seen: list[threading.Thread] = []
    ready = threading.Event()

    def job() -> None:
        seen.append(threading.current_thread())
        ready.set()

    for _ in range(2):
        ready.clear()
        workers.submit(job)
        assert ready.wait(GUARD)
        workers.close()
        seen[-1].join(GUARD)
        assert not seen[-1].is_alive()


FORK = """
import os, threading
from watchword.fetch import Flights, Workers
workers = Workers(1)
flights = Flights(timeout=10, workers=workers)
started, land = threading.Event(), threading.Event()
def stuck(deadline):
    started.set()
    land.wait(10)
    return "parent"
flight = flights.join("key", stuck)
started.wait(10)
pid = os.fork()
if pid == 0:
    # the parent's flight is in the air, its thread did not come along
    answer = flights.join("key", lambda deadline: "child").wait()
    os._exit(0 if answer == "child" else 1)
_, status = os.waitpid(pid, 0)
land.set()
print(os.waitstatus_to_exitcode(status), flight.wait())
"""


@pytest.mark.threat(78)
def test_a_forked_child_flies_by_itself_while_the_parents_flight_is_in_the_air() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK],
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=False,
    )
    assert ran.stdout.split() == ["0", "parent"], ran.stderr


def test_a_process_ends_although_a_worker_waits() -> None:
    code = "import threading; from watchword.fetch import Workers; Workers(1).submit(threading.Event().wait)"
    subprocess.run([sys.executable, "-c", code], timeout=GUARD, check=True)
