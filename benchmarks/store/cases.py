"""The cases of `benchmarks scaling`: each fills a store with this many series, and returns figures by their names.

The names are those of `benchmarks.scaling.ROWS`. Times are CPU time of the process, medians of some commits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.store.subject import (
    FLUSH,
    START,
    Cost,
    Subject,
    cost,
    counters,
    gauges,
    mixed,
    names,
    resident,
    sets,
    timers,
)
from statsd_tcp.mapping.document import read_mapping
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.web.exposition import Exposition

Figures = dict[str, float]

COMMITS = 5
FEW = 1000
FURTHER = 10
"""Values of a timer, and members of a set, beyond the first one."""
CHUNK = 10_000
STORE = "totals.sqlite"
COLUMNS = 33
"""Bytes of a counter in the columns: total, remainder, when it came last, whether it lasts, and its id."""
LOOK = 60.0
"""Seconds after which the store looks for what has expired, and for names with several owners."""
MAPPING = """mappings:
- match: app.*.*.hits
  name: app_hits_total
  labels: {host: $1, page: $2}
"""


def of_counters(series: int, folder: Path) -> Figures:
    """Counters, all of them new, all active, few active, few new; the file stays for `of_restart`."""
    subject, known = Subject(folder / STORE), names(range(series))
    new = subject.commit(counters(known))
    payload = counters(mixed(known))
    every = [subject.commit(payload) for _ in range(COMMITS)]
    few = counters(mixed(known)[:FEW])
    some = [subject.commit(few) for _ in range(COMMITS)]
    starts = range(series, series + COMMITS * FEW, FEW)
    fresh = [subject.commit(counters(names(range(start, start + FEW)))) for start in starts]
    every.append(subject.commit(payload, LOOK))
    looking = [subject.commit(few) for _ in range(COMMITS)]
    log = (folder / f"{STORE}-wal").stat().st_size
    subject.store.close()
    columns = series * COLUMNS + sum(map(len, known))
    return {
        "new": new.cpu / series * 1e6,
        "new of many": cpu(fresh) / FEW * 1e6,
        "changed": cpu(every) / series * 1e6,
        "longest": max(each.cpu for each in every) * 1e3,
        "longest by the clock": max(each.wall for each in every) * 1e3,
        "few": cpu(some) * 1e3,
        "few while looking": max(each.cpu for each in looking) * 1e3,
        "written": median(each.written for each in every) / series,
        "written of few": sum(each.written for each in some) / len(some) / FEW,
        "file": (folder / STORE).stat().st_size / columns,
        "log": log / columns,
    }


def of_restart(series: int, folder: Path) -> Figures:
    """Open the file that `of_counters` has left, an hour later."""
    before = resident()
    opened: list[Subject] = []
    ready = cost(lambda: opened.append(Subject(folder / STORE, now=START + 3600)))
    memory = resident() - before
    first = opened[0].commit(counters(names(range(FEW))))
    return {"ready": ready.cpu, "first commit": first.cpu * 1e3, "memory after a restart": memory / series}


def of_scrapes(series: int, folder: Path) -> Figures:
    """Memory of series that come one after the other, and scrapes of all of them."""
    subject, exposition = Subject(folder / "scraped.sqlite"), Exposition()
    before = resident()
    for start in range(0, series, CHUNK):
        subject.commit(counters(names(range(start, min(start + CHUNK, series)))))
    filled = resident() - before

    def scrape() -> float:
        return cost(lambda: [len(piece) for piece in exposition.pieces(subject.store.snapshot, openmetrics=False)]).cpu

    first = scrape()
    cached = resident() - before
    again = median(scrape() for _ in range(3))
    newer = []
    for start in range(series, series + 3 * FEW, FEW):
        subject.commit(counters(names(range(start, start + FEW))))
        newer.append(scrape())
    subject.commit(counters(names(range(series))))
    return {
        "memory": filled / series,
        "memory with a scrape": cached / series,
        "memory after all": (resident() - before) / series,
        "first scrape": first,
        "scrape": again,
        "scrape after new ones": (median(newer) - again) * 1e3,
    }


def of_graphite(series: int, folder: Path) -> Figures:
    """Counters that an output gets every ten seconds, all of them active and few of them."""
    subject, known = Subject(folder / "graphite.sqlite", graphite=True), names(range(series))
    subject.commit(counters(known))
    payload = counters(mixed(known))
    every, end, read = _flush(subject, payload)
    later = subject.commit(payload, subject.until_end())
    subject.deliver()
    some, few_end, _ = _flush(subject, counters(mixed(known)[:FEW]))
    return {
        "graphite": cpu(every) / series * 1e6,
        "graphite end": end.cpu * 1e3,
        "graphite end by the clock": end.wall * 1e3,
        "graphite later end": later.cpu * 1e3,
        "graphite read": read.cpu * 1e3,
        "graphite few": cpu(some) * 1e3,
        "graphite end of few": few_end.cpu * 1e3,
    }


def _flush(subject: Subject, payload: bytes) -> tuple[list[Cost], Cost, Cost]:
    """Return the commits within a flush, the one that ends it, and the reading of its result."""
    within = [subject.commit(payload) for _ in range(COMMITS)]
    end = subject.commit(payload, subject.until_end())
    return within, end, cost(subject.deliver)


def of_mapping(series: int, folder: Path) -> Figures:
    """Counters that a mapping file gives names and labels."""
    known, document = names(range(series)), read_mapping(MAPPING, "scaling")
    mapper, subject = Mapper(document), Subject(folder / "mapped.sqlite", mapper=Mapper(document))
    alone = cost(lambda: [mapper.target("counter", name) for name in known])
    new = subject.commit(counters(known))
    payload = counters(mixed(known))
    every = [subject.commit(payload) for _ in range(COMMITS)]
    return {
        "mapper": alone.cpu / series * 1e6,
        "new, mapped": (new.cpu - alone.cpu) / series * 1e6,
        "changed, mapped": cpu(every) / series * 1e6,
    }


def of_gauges(series: int, folder: Path) -> Figures:
    """Gauges that are set."""
    subject, known = Subject(folder / "gauges.sqlite"), names(range(series))
    new = subject.commit(gauges(known))
    payload = gauges(mixed(known))
    every = [subject.commit(payload) for _ in range(COMMITS)]
    return {"gauge": cpu(every) / series * 1e6, "new gauge": new.cpu / series * 1e6}


def of_sets(series: int, folder: Path) -> Figures:
    """Sets with one member, and with more; the end of the flush in which they are counted is part of it."""
    known = names(range(series))
    one, more = (
        _whole_flush(Subject(folder / f"sets{number}.sqlite"), partial(sets, known, number))
        for number in (1, 1 + FURTHER)
    )
    return {"set": one / series * 1e6, "member": (more - one) / series / FURTHER * 1e6}


def of_timers(series: int, folder: Path) -> Figures:
    """Timers with one value, and with more: summaries, and flushes for an output with their ends."""
    known, rng = names(range(series)), random.Random(1)
    one, more = (
        _whole_flush(Subject(folder / f"timers{number}.sqlite", graphite=True), partial(timers, known, number, rng))
        for number in (1, 1 + FURTHER)
    )
    return {"timer": one / series * 1e6, "value": (more - one) / series / FURTHER * 1e6}


def _whole_flush(subject: Subject, make: Callable[[], bytes]) -> float:
    """Return the CPU of a commit, the mean of all those of a flush and of what its end takes."""
    subject.commit(make(), subject.until_end())
    total = sum(subject.commit(make()).cpu for _ in range(FLUSH))
    subject.store.close()
    return total / FLUSH


def cpu(costs: Sequence[Cost]) -> float:
    """Return the CPU of the one in the middle."""
    return median(each.cpu for each in costs)


CASES: dict[str, Callable[[int, Path], Figures]] = {
    "counters": of_counters,
    "restart": of_restart,
    "scrapes": of_scrapes,
    "graphite": of_graphite,
    "mapping": of_mapping,
    "gauges": of_gauges,
    "sets": of_sets,
    "timers": of_timers,
}
