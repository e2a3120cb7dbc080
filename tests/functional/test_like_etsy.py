"""The same lines to etsy's server and to this one: what both send to Graphite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.clients import datagram
from tests.functional.conftest import ServiceMaker
from tests.functional.etsy import Etsy, Sink
from tests.functional.waiting import PATIENCE, until

DATAGRAMS = [
    b"hits:3|c\nhits:2|c|@0.5\nsampled:1|c|@0.1",
    b"a page/one:1|c\nodd{name}:1|c",
    b"tagged:4|c|#code:200,env:prod",
    b"time:320|ms\ntime:100|ms|@0.1\ntime:7.5|ms\ntime:12|ms\ntime:12|ms",
    b"one.value:42|ms\ntime.sub:3|ms\ntime.sub:30|ms",
    b"level:5|g\nlevel:+3|g\nlevel:-1|g\nother:2.5|g",
    b"users:a|s\nusers:b|s\nusers:a|s",
    b"same/one:1|c\nsame-one:2|c\nsame/one:7|ms\nsame-one:9|ms\nsame/one:a|s\nsame-one:a|s\nsame-one:b|s",
    b"same/one:1|g\nsame-one:2|g\nsame two:4|g\nstatsd.bad_lines_seen:3|c",
    b"bad line\nbad:x|c",
]

LINES = sum(data.count(b"\n") + 1 for data in DATAGRAMS)

# What cannot be the same: how long things took, and when.
ITS_OWN = ("graphiteStats", "processing_time", "timestamp_lag", "packets_received")

BINS = [{"metric": "sub", "bins": []}, {"metric": "time", "bins": [10, 50, "inf"]}]
TIMERS = {"percentThreshold": [90, 99.9, -25], "histogram": BINS}
TIMER_OPTIONS = ["--percentiles=90,99.9,-25", "--histogram=sub=", "--histogram=time=10,50,inf"]


@pytest.fixture
def make_sink() -> Iterator[Callable[[], Sink]]:
    """Return a function that makes a sink."""
    made: list[Sink] = []

    def make() -> Sink:
        made.append(Sink())
        return made[-1]

    yield make
    for sink in made:
        sink.end()


@pytest.fixture
def make_etsy(tmp_path: Path) -> Iterator[Any]:
    """Return a function that starts etsy's server."""
    made: list[Etsy] = []

    def make(**config: Any) -> Etsy:
        folder = tmp_path / f"etsy-{len(made)}"
        made.append(Etsy(folder, {"flushInterval": 1000, "deleteIdleStats": False, **config}))
        return made[-1]

    yield make
    for etsy in made:
        etsy.end()


def send_at_the_beginning(port: int, sink: Sink) -> None:
    """Send the lines right after a flush has come, so that all of them are in the next one."""
    until(lambda: sink.flushes, "the first flush")
    before = len(sink.flushes)
    until(lambda: len(sink.flushes) > before, "the next flush")
    for data in DATAGRAMS:
        datagram(port, data)


def flushed(sink: Sink) -> list[dict[str, float]] | None:
    """Return the flush with the lines and the one after it, once both are there; None if the lines are in several."""

    def found() -> list[int]:
        rich = [number for number, flush in enumerate(sink.flushes) if _metrics_received(flush)]
        # Lines that were sent late may be two flushes behind the others.
        all_there = sum(map(_metrics_received, sink.flushes)) == LINES
        return rich if all_there and len(sink.flushes) > rich[-1] + 1 else []

    numbers = until(found, "the lines were flushed")
    if len(numbers) > 1:
        return None
    return [_comparable(flush) for flush in sink.flushes[numbers[0] : numbers[0] + 2]]


def _comparable(flush: dict[str, float]) -> dict[str, float]:
    return {path: value for path, value in flush.items() if not any(own in path for own in ITS_OWN)}


def _metrics_received(flush: dict[str, float]) -> float:
    # Where it is written twice, the other is by the second, which is how long a flush takes.
    return max((value for path, value in flush.items() if "metrics_received" in path), default=0)


@pytest.mark.parametrize(
    "config, options, more",
    [
        ({}, "", []),
        ({"graphite": {"legacyNamespace": False}, "deleteIdleStats": True}, ":namespace=new", ["--delete-idle=all"]),
        ({"deleteCounters": True, "deleteSets": True}, "", ["--delete-idle=counters,sets"]),
        (
            {
                "prefixStats": "own",
                "flush_counts": False,
                "deleteGauges": True,
                "gaugesMaxTTL": 2,
                "graphite": {
                    "legacyNamespace": False,
                    "globalPrefix": "acme",
                    "prefixCounter": "c",
                    "prefixTimer": "t",
                    "prefixGauge": "g",
                    "prefixSet": "",
                    "globalSuffix": "eu",
                },
            },
            ":namespace=new:prefix=acme:counters=c:timers=t:gauges=g:sets=:suffix=eu:stats=own:counts=no",
            ["--delete-idle=gauges", "--gauges-ttl=2"],
        ),
    ],
    ids=["default", "new-without-idle", "some-without-idle", "prefixes"],
)
def test_the_same_points(
    make_etsy: Any,
    start_service: ServiceMaker,
    make_sink: Callable[[], Sink],
    config: dict[str, Any],
    options: str,
    more: list[str],
) -> None:
    """Paths and values are etsy's for all types, in either name space, when there is news and when there is none."""

    def both() -> list[list[dict[str, float]]] | None:
        theirs, ours = make_sink(), make_sink()
        etsy = make_etsy(graphiteHost="127.0.0.1", graphitePort=theirs.port, **TIMERS, **config)
        graphite = f"--graphite=tcp:127.0.0.1:{ours.port}{options}"
        service = start_service(more=["--flush-interval=1", graphite, *TIMER_OPTIONS, *more])
        for port, sink in ((etsy.port, theirs), (service.port("datagrams"), ours)):
            send_at_the_beginning(port, sink)
        found = [each for each in map(flushed, (theirs, ours)) if each is not None]
        etsy.end()
        service.end()
        return found if len(found) == 2 else None

    # On a busy machine the lines may come over the end of a flush. Then nothing can be compared, and all starts over.
    for expected, found in zip(*until(both, "each server has the lines in one flush", 10 * PATIENCE), strict=True):
        assert set(found) == set(expected)
        assert found == pytest.approx(expected, rel=1e-9)
