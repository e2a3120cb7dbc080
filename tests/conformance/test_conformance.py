"""The peers' own cases mean here what the tables say; docs/conformance.md counts them."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.sums import BUILT, NewSums, new_sums
from statsd_tcp.aggregate.tally import Tally, tally_for
from statsd_tcp.wire.framing import frame_datagram
from statsd_tcp.wire.grammar import named
from statsd_tcp.wire.line import parse_line
from tests.conformance.case import Case, Origin
from tests.conformance.notation import meaning, sums
from tests.conformance.origins import ORIGINS
from tests.conformance.reasons import REASONS
from tests.conformance.tables import PAGE, rewritten

NAMES = [origin.name for origin in ORIGINS]
PROTOCOL = PAGE.with_name("protocol.md")


def chunk_of(case: Case) -> bytes:
    """Return the lines of a case, as they are framed."""
    return b"".join(map(frame_datagram, case.datagrams))


def tally_of(case: Case, sums_in_c: NewSums | None = None) -> Tally:
    """Make a tally that speaks a case's grammar."""
    return tally_for([("all", case.grammar)], new_sums=sums_in_c)


def found(case: Case) -> str:
    """Return what a case means."""
    if case.summed:
        return sums(taken(tally_of(case), case))
    grammar = named(case.grammar)
    return meaning([parse_line(line, grammar) for line in chunk_of(case).split(b"\n")[:-1]])


def taken(tally: Tally, case: Case) -> Interval:
    """Return the interval of a case's lines."""
    tally.add(0, chunk_of(case), 1)
    return tally.take()


@pytest.mark.parametrize("origin", ORIGINS, ids=NAMES)
def test_meanings(origin: Origin) -> None:
    """Each case means what its table says."""
    wrong = [(case.datagrams, found(case), case.ours) for case in origin.cases if found(case) != case.ours]
    assert wrong == []


@pytest.mark.skipif(not BUILT, reason="the parts in C were not built")
@pytest.mark.parametrize("origin", ORIGINS, ids=NAMES)
def test_native(origin: Origin) -> None:
    """With the part in C lines add up to the same, also when it knows them already."""
    for case in origin.cases:
        tally, reference = tally_of(case, partial(new_sums, 1, 64)), tally_of(case)
        for _ in range(2):
            assert taken(tally, case) == taken(reference, case), case


@pytest.mark.parametrize("origin", ORIGINS, ids=NAMES)
def test_reasons(origin: Origin) -> None:
    """A case has one of the reasons if it means something else here, and none if it does not."""
    wrong = [case for case in origin.cases if (case.theirs == case.ours) == bool(case.reason)]
    unknown = [case for case in origin.cases if case.reason and case.reason not in REASONS]
    assert (wrong, unknown) == ([], [])


@pytest.mark.parametrize("origin", ORIGINS, ids=NAMES)
def test_no_case_twice(origin: Origin) -> None:
    """No two cases of an origin are about the same lines and the same listener."""
    counted = Counter((case.datagrams, case.grammar, case.summed) for case in origin.cases)
    assert [key for key, number in counted.items() if number > 1] == []


def test_many() -> None:
    """There are at least 400 cases, and each reason has one."""
    cases = [case for origin in ORIGINS for case in origin.cases]
    assert len(cases) >= 400
    assert {case.reason for case in cases} - {""} == set(REASONS)


def section(text: str, heading: str) -> str:
    """Return what stands under a heading of the second level, on one line."""
    return " ".join(text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].split())


def test_explained() -> None:
    """docs/protocol.md explains each reason, under its heading and in its words."""
    text = PROTOCOL.read_text()
    assert [name for name, reason in REASONS.items() if reason.words not in section(text, reason.heading)] == []


def test_page() -> None:
    """The tables of docs/conformance.md are those of the cases, and it names where each origin's tests are."""
    text = Path(PAGE).read_text()
    assert rewritten(text) == text
    assert [origin.name for origin in ORIGINS if f"`{origin.tests}`" not in " ".join(text.split())] == []
