"""What totals mean must not depend on how the seconds, connections and workers cut a stream of lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.functional.clients import datagram, half_close
from tests.functional.metrics import Metrics
from tests.functional.processes import waits
from tests.functional.service import Service, options
from tests.functional.waiting import until

NEGATIVE = "negative"

ROWS: dict[str, tuple[Sequence[bytes], dict[str, float | None]]] = {
    "a fall and a rise": ([b"neg:-150|c", b"neg:100|c"], {"neg": 100, NEGATIVE: 1}),
    "rises and falls": ([b"c:10|c", b"c:-3|c", b"c:10|c", b"c:-3|c"], {"c": 20, NEGATIVE: 2}),
    "many of both": ([b"c1:5|c", b"c1:-3|c"] * 8, {"c1": 40, NEGATIVE: 8}),
    "sampled": ([b"s:2|c|@0.5", b"s:-3|c|@0.1", b"s:-3|c|@0.1"], {"s": 4, NEGATIVE: 2}),
    "packed": ([b"p:5:-1:-2|c|#a:b", b"p:-1|c|#a:b"], {'p{a="b"}': 5, NEGATIVE: 3}),
    "only falls": ([b"f:-1|c", b"f:-2|c"], {"f": 0, NEGATIVE: 2}),
    "observations": ([b"h:-5|h", b"h:15|h"], {"h_sum": 10, "h_count": 2}),
    "times": ([b"t:-5|ms", b"t:15|ms"], {"t_sum": 0.01, "t_count": 2}),
    "a gauge first": ([b"g1:2|g", b"g1:1|c"], {"g1": 2}),
    "a counter first": ([b"g2:1|c", b"g2:2|g"], {"g2": 1}),
    "a summary first": ([b"req:5|ms", b"req.count:1|c"], {"req_sum": 0.005, "req_count": 1}),
    "its count first": ([b"qer.count:7|c", b"qer:5|ms"], {"qer_count": 7, "qer_sum": None}),
    "a distribution first": ([b"d1:5|h", b"d1:5|ms"], {"d1_sum": 5, "d1_count": 1}),
    "a time first": ([b"d2:5|ms", b"d2:5|h"], {"d2_sum": 0.005, "d2_count": 1}),
}

LINES = sum(len(lines) for lines, _ in ROWS.values())


def over_tcp(service: Service, lines: Sequence[bytes]) -> None:
    """Send lines over a connection of their own."""
    half_close(service.port("tcp"), b"".join(line + b"\n" for line in lines))


def over_udp(service: Service, lines: Sequence[bytes]) -> None:
    """Send lines as a datagram."""
    datagram(service.port("udp"), b"\n".join(lines))


WAYS: dict[str, Callable[[Service, Sequence[bytes]], None]] = {"tcp": over_tcp, "udp": over_udp}


@pytest.fixture(scope="module", params=[(1, False), (3, False), (1, True), (3, True)], ids=str)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service with one worker or three, with the parts in C or without."""
    workers, pure = request.param
    folder: Path = tmp_path_factory.mktemp("service")
    listeners = [f"{scheme}:0:interface=127.0.0.1:name={scheme}" for scheme in WAYS]
    given = options(folder / "state", workers=workers, listen=listeners)
    service = Service(folder, given, environ={"STATSCOUNTER_PURE_PYTHON": "1"} if pure else {})
    try:
        yield service.start()
    finally:
        service.end()


def conflicts(metrics: Metrics) -> float:
    """Return how many values were left out because a total would have fallen."""
    return metrics.by("statscounter_series_conflicts_total", "reason").get(NEGATIVE, 0)


def check(service: Service, prefixes: Sequence[str], before: Metrics) -> None:
    """Compare all rows with what is shown of each prefix."""
    metrics = service.settled_with(LINES * len(prefixes), before)
    shown = {line.rpartition(" ")[0] for line in metrics.text.splitlines()}
    for prefix in prefixes:
        for row, (_, meaning) in ROWS.items():
            for name, value in meaning.items():
                series = f"{prefix}_{name}"
                if value is None:
                    assert series not in shown, (prefix, row)
                elif name != NEGATIVE:
                    assert metrics.shown(series) == pytest.approx(value), (prefix, row)
    negative = sum(meaning.get(NEGATIVE) or 0 for _, meaning in ROWS.values())
    assert conflicts(metrics) - conflicts(before) == negative * len(prefixes)


def named(prefix: str, lines: Sequence[bytes]) -> list[bytes]:
    """Put a prefix before the names of lines."""
    return [prefix.encode() + b"." + line for line in lines]


def test_in_one_second(service: Service) -> None:
    """Lines of one connection or datagram, or with a connection for each, mean what they say in their order."""
    before = service.metrics()
    workers = service.worker_pids().values()
    # A supervisor that stands still asks for nothing: workers hand over one after the other, and on a busy machine a
    # later line may be handed over before an earlier one.
    with service.supervisor_held():
        for lines, _ in ROWS.values():
            for way, send in WAYS.items():
                send(service, named(way, lines))
            for line in lines:
                over_tcp(service, named("apart", [line]))
                # It has been read. One that sleeps looks at the clock again before it reads the next one.
                for worker in workers:
                    until(partial(waits, worker), "the worker sleeps")
    check(service, [*WAYS, "apart"], before)


def test_in_four(service: Service) -> None:
    """So do lines that come one after the other over four commits."""
    before, sent = service.metrics(), 0
    for step in range(4):
        for way, send in WAYS.items():
            for lines, _ in ROWS.values():
                part = -(-len(lines) // 4)
                for line in lines[step * part : (step + 1) * part]:
                    send(service, named(f"spread_{way}", [line]))
                    sent += 1
        # Each takes two commits at least, and none is taken before a line that still waits at a worker.
        service.settled_with(sent, before)
    check(service, [f"spread_{way}" for way in WAYS], before)
