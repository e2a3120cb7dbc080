"""The lines of the migration pages: what etsy's server does with them, and what they add up to here on TCP and UDP."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from statsd_tcp.wire.grammar import DIALECTS, Grammar
from statsd_tcp.wire.line import parse_line
from statsd_tcp.wire.notation import as_text
from statsd_tcp.wire.samples import Sample
from tests.documents import MIGRATION_PAGES, line_of, rows_of_lines
from tests.functional.clients import datagram, half_close
from tests.functional.etsy import Etsy, Sink
from tests.functional.metrics import Difference
from tests.functional.processes import end_all, held
from tests.functional.service import CHECKOUT, LOOPBACK, Service, long_flush, options
from tests.functional.test_console import console_port, dump
from tests.functional.waiting import until

WAYS = ("tcp", "udp")

TIMES = 3
"""The lines are sent so often, one after the other: once a shape is known, another part of the program adds it up."""

FROM_ETSY = "migrating-from-etsy.md"
ITS_END = "the server ends"

NAMED = re.compile(r"(counter|gauge|timer|set) (?:`(.*)`|without a name) (?:set to |with )?(\S+)")
BAD = re.compile(r"(\d) bad")
OWN = re.compile(r"statsd\.")
PATHS = {"counters": "count", "timers": "sum", "sets": "count", "gauges": ""}


def rows(page: str) -> list[dict[str, str]]:
    """Return the rows of a page about lines."""
    return rows_of_lines(CHECKOUT / "docs" / page)


def renamed(prefix: str, line: bytes) -> bytes:
    """Put a prefix before the name of a line, if it begins with a word."""
    return prefix.encode() + line if re.match(rb"[a-z]", line) else line


class Sums:
    """What lines add up to, as the dumps of the console show it."""

    def __init__(self) -> None:
        self.counters: dict[str, float] = defaultdict(float)
        self.gauges: dict[str, float] = defaultdict(float)
        self.timers: dict[str, list[tuple[float, float]]] = defaultdict(list)
        self.sets: dict[str, set[str]] = defaultdict(set)
        self.bad: Counter[str] = Counter()
        self.lines = 0
        self.bad_tags = 0

    def add(self, line: bytes, grammar: Grammar) -> None:
        """Add what a line means."""
        parsed = parse_line(line, grammar)
        self.lines += line != b"\r"
        self.bad_tags += parsed.bad_tags
        self.bad.update([parsed.reason] if parsed.reason else [])
        for sample in parsed.samples:
            self._add(as_text(sample.series), sample)

    def _add(self, name: str, sample: Sample) -> None:
        value = sample.value
        if isinstance(value, str):
            self.sets[name].add(value)
        elif sample.kind == "c":
            self.counters[name] += value
        elif sample.kind == "g":
            self.gauges[name] = value + (self.gauges[name] if sample.relative else 0)
        else:
            self.timers[name].append((sample.weight, value))

    def dumps(self) -> dict[str, dict[str, Any]]:
        """Return the dumps, with the weights and the sum of each timer."""
        return {
            "counters": dict(self.counters),
            "gauges": dict(self.gauges),
            "timers": {name: [sum(column) for column in zip(*all_, strict=True)] for name, all_ in self.timers.items()},
            "sets": {name: len(members) for name, members in self.sets.items()},
        }


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """Return a running service with a listener of each dialect for each way, and one flush, which an output awaits."""
    listeners = [f"{way}:0:{LOOPBACK}:name={way}-{name}:dialect={name}" for way in WAYS for name in DIALECTS]
    more = [f"--flush-interval={long_flush()}", "--console=json"]
    service = Service(
        tmp_path, options(tmp_path / "state", workers=1, listen=listeners, admin=f"tcp:0:{LOOPBACK}", more=more)
    )
    try:
        yield service.start()
    finally:
        service.end()


def send(service: Service, way: str, name: str, lines: list[bytes]) -> None:
    """Send lines to the listener of a dialect, over one connection or each as a datagram."""
    port = service.port(f"{way}-{name}")
    if way == "tcp":
        half_close(port, b"".join(line + b"\n" for line in lines))
    for line in lines if way == "udp" else ():
        datagram(port, line)


def dumps(service: Service) -> dict[str, dict[str, Any]]:
    """Return what the console shows of each kind, except for the service's own: of a timer the weights and the sum."""
    found = {
        kind: {name: value for name, value in dump(console_port(service), kind).items() if not OWN.match(name)}
        for kind in ("counters", "gauges", "timers", "sets")
    }
    return found | {"timers": {name: [each["count"], each["sum"]] for name, each in found["timers"].items()}}


def send_pages(service: Service, ways: Sequence[str]) -> Sums:
    """Send the lines of all pages, each to the listener of its dialect, and return what they mean."""
    sums = Sums()
    for way in ways:
        for page, dialect in MIGRATION_PAGES.items():
            lines = [renamed(f"{way}.{dialect}.{number}.", line_of(row)) for number, row in enumerate(rows(page))]
            assert lines
            for line in lines * TIMES:
                sums.add(line, DIALECTS[dialect])
            send(service, way, dialect, lines * TIMES)
    return sums


def check_dumps(service: Service, sums: Sums) -> None:
    """Compare what the console shows with what lines mean."""
    found, expected = dumps(service), sums.dumps()
    assert {kind: found[kind].keys() for kind in found} == {kind: expected[kind].keys() for kind in expected}
    for kind, series in expected.items():
        assert found[kind] == {name: pytest.approx(value) for name, value in series.items()}


def test_here(service: Service) -> None:
    """Over TCP and UDP the lines add up to what the pages say that they mean, and as many are bad."""
    before = service.metrics()
    sums = send_pages(service, WAYS)
    added = Difference(before, service.settled_with(sums.lines, before))
    assert added.by("statscounter_bad_lines_total", "reason") == sums.bad
    assert added.total("statscounter_bad_tags_total") == sums.bad_tags
    check_dumps(service, sums)


def test_replayed(service: Service) -> None:
    """They mean the same when the service is killed before it has committed any, and reads them from its journal."""
    with held(service.process.pid):
        sums = send_pages(service, ["tcp"])
        end_all(service.mark)
    metrics = service.start().settled()
    assert metrics.by("statscounter_bad_lines_total", "reason") == sums.bad
    check_dumps(service, sums)


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Return a place for flushes."""
    sink = Sink()
    yield sink
    sink.end()


def flushed(sink: Sink, prefix: str) -> dict[tuple[str, str], float]:
    """Add up what came in all flushes for names with a prefix, by kind and name; of gauges the last value counts."""
    found: dict[tuple[str, str], float] = defaultdict(float)
    for flush in list(sink.flushes):
        for path, value in flush.items():
            kind, _, rest = path.removeprefix("stats.").partition(".")
            name, semicolon, tags = rest.partition(";")
            field = PATHS.get(kind)
            if field is not None and rest.startswith(prefix) and (not field or name.endswith(f".{field}")):
                series = (kind, (name.removesuffix(f".{field}") if field else name) + semicolon + tags)
                found[series] = value if kind == "gauges" else found[series] + value
    return dict(found)


def expected_of(there: str, prefix: str) -> tuple[dict[tuple[str, str], float], int]:
    """Read what a cell says of etsy's server: the values by kind and name, and how many are bad."""
    values: dict[tuple[str, str], float] = defaultdict(float)
    bad = 0
    for part in there.split(", "):
        if found := BAD.fullmatch(part):
            bad += int(found[1])
        elif found := NAMED.fullmatch(part):
            values[found[1] + "s", prefix + (found[2] or "")] += 1 if found[1] == "set" else float(found[3])
        else:
            raise AssertionError(f"{part!r} is none of the words for what etsy's server does")
    return dict(values), bad


def test_there(tmp_path: Path, sink: Sink) -> None:
    """The server of etsy does with each line what the page for its users says."""
    cases = [(line_of(row), row["there"]) for row in rows(FROM_ETSY) if row["there"] != ITS_END]
    lines = [renamed(f"{number}.", line) for number, (line, _) in enumerate(cases)]
    graphite = {"graphiteHost": "127.0.0.1", "graphitePort": sink.port, "graphite": {"legacyNamespace": False}}
    etsy = Etsy(tmp_path / "etsy", {"flushInterval": 1000, **graphite})
    try:
        until(lambda: sink.flushes, "the first flush")
        for line in lines:
            datagram(etsy.port, line)
        received = "stats.counters.statsd.metrics_received.count"
        until(lambda: sum(flush[received] for flush in list(sink.flushes)) == len(lines), "all lines were flushed")
        wrong = []
        for number, (line, (_, there)) in enumerate(zip(lines, cases, strict=True)):
            prefix = f"{number}." if line != cases[number][0] else ""
            values, bad = expected_of(there, prefix)
            found = flushed(sink, prefix) if prefix else {series: flushed(sink, series[1])[series] for series in values}
            logged = etsy.log.count(f'in msg "{line.decode(errors="replace")}"'.replace("\r", "\n"))
            if (found, logged) != (values, bad):
                wrong.append((line, found, logged, there))
        assert wrong == []
    finally:
        etsy.end()


def ends_by(etsy: Etsy, line: bytes) -> bool:
    """Send a line, and tell whether the server has ended: it may not have listened when it said that it was up."""
    datagram(etsy.port, line)
    return etsy.has_ended()


def test_its_end(tmp_path: Path) -> None:
    """Lines that end etsy's server do."""
    lines = [line_of(row) for row in rows(FROM_ETSY) if row["there"] == ITS_END]
    assert lines
    for number, line in enumerate(lines):
        etsy = Etsy(tmp_path / f"etsy-{number}", {"flushInterval": 10**8, "backends": []})
        try:
            until(lambda: ends_by(etsy, line), f"etsy's server has ended by {line!r}")  # noqa: B023 (called here only)
        finally:
            etsy.end()
