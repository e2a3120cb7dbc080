"""Processes that kill themselves at the worst moments, each of them: the totals are right nevertheless."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from statsd_tcp.crash_points import DEADLY, SUPERVISOR, VARIABLE
from tests.functional.clients import Burst, Outcome, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.metrics import Metrics
from tests.functional.processes import end_all
from tests.functional.service import Service
from tests.functional.waiting import until

LINE = b"hits:1|c\n"


def test_after_accept(start_service: ServiceMaker) -> None:
    """A worker that dies between accept(2) and the count costs that one connection, and nothing else."""
    service = start_service(environ={VARIABLE: "after-accept:100"})
    outcome, metrics = serve(service, 320)
    deaths = worker_deaths(metrics)
    assert deaths == 3
    assert metrics.accepted("lines") == 320 - deaths
    # A client whose line comes only after its worker's death may see the end before it sees that it was cut off.
    assert (outcome.refused, outcome.completed + outcome.broken) == (0, 320)
    assert outcome.broken <= deaths
    # One may have been accepted, counted and not read yet when the next one killed the worker.
    closed = metrics.closed("lines")
    assert closed["eof"] <= metrics.total("hits") <= closed["eof"] + closed.get("killed", 0)
    assert sum(closed.values()) == metrics.accepted("lines")


@pytest.mark.parametrize("at_once", [1, 8])
def test_after_frame(start_service: ServiceMaker, at_once: int) -> None:
    """A line that is in the journal counts once, though its worker died before it did anything with it."""
    service = start_service(environ={VARIABLE: "after-frame:100"})
    outcome, metrics = serve(service, 320, at_once)
    deaths = worker_deaths(metrics)
    assert deaths == 3
    assert outcome.refused == 0
    # The client of the last frame sees its connection end, in whatever way; the others that are open may have lines
    # that was not read.
    closed = metrics.closed("lines")
    assert closed["killed"] <= deaths * at_once
    assert closed["eof"] + deaths <= metrics.total("hits") <= 320
    assert sum(closed.values()) == metrics.accepted("lines") == 320
    assert metrics.total("statscounter_lines_total", listener="lines") == metrics.total("hits")
    if at_once == 1:
        assert metrics.total("hits") == 320


def test_before_release(start_service: ServiceMaker) -> None:
    """What is in the store does not count again because the journal still has it."""
    service = start_service(environ={VARIABLE: "before-release:3"})
    sent, port = 0, service.port("lines")
    while worker_deaths(service.metrics()) < 2:
        assert Burst(lambda: half_close(port, LINE), 20, 1).run().refused == 0
        sent += 20
        service.wait_for(service.metrics().total("statscounter_commits_total") + 1, "statscounter_commits_total")
    metrics = settled_closed(service)
    # A worker may die while it has a connection whose line has not come yet, or is not read.
    closed = metrics.closed("lines")
    assert closed.get("killed", 0) <= worker_deaths(metrics)
    assert closed["eof"] <= metrics.total("hits") <= sent
    assert sum(closed.values()) == metrics.accepted("lines") == sent


@pytest.mark.parametrize("point", SUPERVISOR)
def test_supervisor(start_service: ServiceMaker, tmp_path: Path, point: str) -> None:
    """A supervisor that dies before or after its transaction leaves every line to the next start, counted once."""
    now = tmp_path / "now"
    service = start_service(environ={VARIABLE: f"{point}:1@{now}"})
    port = service.port("lines")
    burst = Burst(lambda: half_close(port, LINE), 20000, 4).start()
    burst.reach(100)
    now.touch()
    status = service.wait_ended()
    outcome = burst.join()
    assert status == -signal.SIGKILL
    assert outcome.completed >= 100
    del service.environ[VARIABLE]
    service.start()
    metrics = settled_closed(service)
    closed = metrics.closed("lines")
    assert set(closed) <= {"eof", "shutdown"}
    # A client of whom nothing had come when the workers ended may have seen a clean end.
    assert outcome.completed - closed.get("shutdown", 0) <= metrics.total("hits") <= closed["eof"] + 4
    assert metrics.total("hits") == metrics.total("statscounter_lines_total", listener="lines")
    assert metrics.total("statscounter_recovered_lines_total") > 0


def test_in_replay(start_service: ServiceMaker) -> None:
    """Reading a dead worker's journal that fails once is done again, and counts once."""
    service = start_service(environ={VARIABLE: "in-replay:1"})
    kill_with_unread(service, 150)
    metrics = service.wait_for(150, "hits")
    assert "could not be read: the reading process was killed (SIGSEGV)" in service.log
    metrics = service.settled()
    assert metrics.total("statscounter_recovered_lines_total") == metrics.total("hits") == 150
    assert len(service.ledgers) == 1


def test_a_deadly_line(start_service: ServiceMaker) -> None:
    """A line that kills its readers costs its own frame alone, which is kept, counted and named."""
    service = start_service(environ={VARIABLE: "deadly-line"})
    kill_with_unread(service, 150, DEADLY + b":1|c\nhits:1|c\n")
    metrics = service.wait_for(300, "hits")
    assert metrics.total("statscounter_recovered_lines_total") == 300
    # The last ones may have been killed between their end and its being counted.
    assert metrics.accepted("lines") == sum(metrics.closed("lines").values()) == 301
    assert metrics.total("statscounter_recovery_faults_total", reason="frame") == 1
    (kept,) = (service.state / "ledgers").glob("*.skipped")
    assert kept.read_bytes() == DEADLY + b":1|c\nhits:1|c\n"
    assert f"are left out of the journal {service.state}" in service.log
    assert f"they are kept in {kept}" in service.log
    metrics = settled_total(service, 300)
    assert metrics.total("statscounter_journals_waiting") == 0
    assert metrics.total("statscounter_ledgers_set_aside") == 0


HANGS = """
import sys, time
if "statsd_tcp.commit.replay_process" in sys.orig_argv:
    from statsd_tcp.aggregate.tally import Tally
    add = Tally.add
    def hang(self, listener, chunk, tick):
        if b"hang" in chunk:
            time.sleep(10 * 3600)
        add(self, listener, chunk, tick)
    Tally.add = hang
"""
"""A line at which the reader of a journal waits forever."""


@pytest.mark.proof
def test_a_line_that_hangs(start_service: ServiceMaker, tmp_path: Path) -> None:
    """A line at which its readers sleep costs its own frame alone, too."""
    (tmp_path / "sitecustomize.py").write_text(HANGS)
    service = start_service(environ={"PYTHONPATH": str(tmp_path)})
    kill_with_unread(service, 150, b"hang:1|c\n")
    settled_total(service, 300)
    assert "the reading process hung and was killed" in service.log
    (kept,) = (service.state / "ledgers").glob("*.skipped")
    assert kept.read_bytes() == b"hang:1|c\n"


def test_killed_while_a_frame_is_suspected(start_service: ServiceMaker) -> None:
    """What is known of a deadly frame outlives the service; whenever that dies, each line counts once."""
    service = start_service(environ={VARIABLE: "deadly-line"})
    kill_with_unread(service, 100, DEADLY + b":1|c\n")

    def is_read() -> bool:
        return service.metrics().reached(200, "hits")

    for _ in range(2):
        # Before the test goes on it may have been read to its end.
        until(lambda: "could not be read" in service.log or is_read(), "a reading process dies, or none has to")
        end_all(service.mark)
        service.wait_ended()
        service.start()
    settled_total(service, 200)
    assert len(list((service.state / "ledgers").glob("*.skipped"))) == 1


def test_unknown_point(make_service: ServiceMaker) -> None:
    """A crash point that there is not is refused at the start."""
    service = make_service(environ={VARIABLE: "nowhere"})
    service.launch()
    assert service.wait_ended() == 1
    assert "STATSCOUNTER_CRASH=nowhere: not one of after-accept" in service.log


def serve(service: Service, number: int, at_once: int = 1) -> tuple[Outcome, Metrics]:
    """Have connections with a line served, and wait until all is counted."""
    port = service.port("lines")
    outcome = Burst(lambda: half_close(port, LINE), number, at_once).run()
    return outcome, settled_closed(service)


def settled_closed(service: Service) -> Metrics:
    """Wait until all connections are closed and the dead workers' journals read, and give a scrape."""

    def quiet() -> bool:
        metrics = service.metrics()
        ledgers = list((service.state / "ledgers").glob("*.ledger"))
        return not metrics.total("statscounter_connections_open") and len(ledgers) == len(service.worker_pids())

    until(quiet, "nothing is open and no dead worker's ledger is left")
    return service.settled()


def settled_total(service: Service, hits: int) -> Metrics:
    """Wait until this many hits are counted, and check that the number stays."""
    service.wait_for(hits, "hits")
    metrics = settled_closed(service)
    assert metrics.total("hits") == hits
    return metrics


def kill_with_unread(service: Service, lines: int, between: bytes = b"") -> None:
    """Kill a worker that has these lines in its journal, or twice as many around others, and handed none over."""
    port, worker = service.port("lines"), service.worker_pids()[0]
    with service.supervisor_held():
        assert Burst(lambda: half_close(port, LINE), lines).run() == (lines, 0, 0)
        if between:
            half_close(port, between)
            assert Burst(lambda: half_close(port, LINE), lines).run() == (lines, 0, 0)
        os.kill(worker, signal.SIGKILL)


def worker_deaths(metrics: Metrics) -> int:
    """Return how many workers were killed."""
    return int(metrics.total("statscounter_worker_restarts_total", reason="signal"))
