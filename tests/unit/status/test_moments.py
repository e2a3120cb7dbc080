"""The last seconds: what is made of two readings, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from statsd_tcp.kernel.accept_queue import AcceptQueue
from statsd_tcp.outputs.delivery import OutputFacts
from statsd_tcp.status.moments import KEPT, Moments, Reading
from statsd_tcp.status.own_metrics import WorkerQueue
from statsd_tcp.store.snapshot import Snapshot, TotalKey
from tests.unit.web.tables import make_snapshot

LINES = TotalKey("lines", "tcp:8125")
ACCEPTED = TotalKey("accepted", "tcp:8125", "0")
OTHERS = TotalKey("accepted", "tcp:8125", "1")
ENDED = TotalKey("closed", "tcp:8125", "0", "eof")
BAD = TotalKey("bad_lines", detail="truncated")


def snapshot(commits: int = 0, seconds: float = 0.0) -> Snapshot:
    """Make a snapshot of two series after some commits."""
    made = make_snapshot(("c", "hits", 5.0), ("g", "level", 1.0))
    stats = msgspec.structs.replace(made.stats, commits=commits, duration_sum=seconds)
    return msgspec.structs.replace(made, stats=stats)


def reading(at: float, totals: Mapping[TotalKey, int], length: int = 0, drops: int = 0, **stats: Any) -> Reading:
    """Make a reading with one queue and one output."""
    queue = WorkerQueue("tcp:8125", 0, AcceptQueue(length, 4096, drops))
    outputs = [OutputFacts("graphite:h:2003", 3, 40, 5, 2, 1.5e9, "")]
    return Reading(at, totals, [queue, msgspec.structs.replace(queue, worker=1)], snapshot(**stats), outputs)


def moments(*readings: Reading) -> list[dict[str, Any]]:
    """Return the moments between readings."""
    made = Moments()
    for one in readings:
        made.note(one)
    return [json.loads(moment) for moment in made.since(0)]


def test_a_moment() -> None:
    """A moment has what has risen per second by listener and reason, and what is open and waits now."""
    before = {ACCEPTED: 10, ENDED: 9, LINES: 100, BAD: 1}
    after = {ACCEPTED: 30, OTHERS: 4, ENDED: 31, LINES: 150, BAD: 2}
    assert moments(
        reading(1000.0, before, commits=1, seconds=0.5),
        reading(1002.0, after, length=2, drops=3, commits=3, seconds=0.6),
    ) == [
        {
            "at": 1002.0,
            "accepted": {"tcp:8125": 12.0},
            "open": {"tcp:8125": 3},
            "waiting": {"tcp:8125": 4},
            "drops": {"tcp:8125": 3.0},
            "closed": {"eof": 11.0},
            "lines": {"tcp:8125": 25.0},
            "bad": {"truncated": 0.5},
            "commit": 0.05,
            "series": 2,
            "queued": {"graphite:h:2003": 3},
        }
    ]


def test_at_rest() -> None:
    """A listener at rest is there with 0, a reason that did not come is not, and no commit has no time."""
    made = moments(reading(1.0, {BAD: 1}), reading(2.0, {BAD: 1}))[0]
    assert made["accepted"] == made["open"] == made["waiting"] == made["drops"] == {"tcp:8125": 0}
    assert (made["bad"], made["commit"]) == ({}, None)


def test_the_first_reading_and_one_of_the_same_time() -> None:
    """Without time between two readings there is no moment."""
    assert moments(reading(1.0, {})) == []
    assert moments(reading(1.0, {}), reading(1.0, {LINES: 1})) == []


def test_a_queue_that_was_opened_again() -> None:
    """The drops of a socket begin again with it, and are never below 0."""
    assert moments(reading(1.0, {}, drops=9), reading(2.0, {}, drops=1))[0]["drops"] == {"tcp:8125": 0.0}


def test_ten_minutes_are_kept() -> None:
    """The oldest moments go; those after any that a viewer has seen can be asked for."""
    made = Moments()
    for second in range(KEPT + 3):
        made.note(reading(float(second), {}))
    assert made.number == KEPT + 2
    assert [json.loads(one)["at"] for one in made.since(0)] == [float(second) for second in range(3, KEPT + 3)]
    assert [json.loads(one)["at"] for one in made.since(KEPT)] == [KEPT + 1, KEPT + 2]
    assert made.since(made.number) == []


def test_who_watches_is_told() -> None:
    """Each reading is told to those who want to hear of it."""
    made, told = Moments(), list[int]()
    made.heard.append(lambda: told.append(made.number))
    for second in range(3):
        made.note(reading(float(second), {}))
    assert told == [0, 1, 2]
