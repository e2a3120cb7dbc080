"""The watch: looks at the kernel's counters once a second, and turns a growing one into a finding.

A finding says which limit is hit, which setting it is and what mends it. It stays for a while after the last growth;
it is reported at once, and then at most once a minute: never for each connection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.symptoms import SYMPTOMS, Advice, Growth, Symptom
from statsd_tcp.kernel.accept_queue import AcceptQueue
from statsd_tcp.kernel.samples import Sample, Sampler

__all__ = ["Family", "Finding", "Watch"]

HOLD = 60.0
"""Seconds that a finding stays after the kernel's counter has grown for the last time."""

NEWS_EVERY = 60.0
"""Seconds between two reports of the same finding."""


class Finding(msgspec.Struct, frozen=True):
    """A limit that is being hit: its id, what happens, the setting, the command that mends it, how often since when.

    ``count`` counts from the beginning of this finding, ``since`` is in seconds of the clock that samples come with.
    """

    id: str
    text: str
    setting: str
    command: str
    count: int
    since: float


class Family(msgspec.Struct, frozen=True):
    """One family of metrics: name without prefix and suffix, whether it counts, help, label names, and its numbers."""

    name: str
    counts: bool
    text: str
    labels: tuple[str, ...]
    rows: dict[tuple[str, ...], float]


class _Case(msgspec.Struct):
    """One finding as it goes on. ``told`` is when it was last reported, ``untold`` the growth since then."""

    advice: Advice
    since: float
    last: float
    count: int
    untold: int
    harmless: bool = False
    told: float = float("-inf")


class Watch:
    """The findings and numbers of a service whose accept queues ``queues`` gives."""

    def __init__(self, sampler: Sampler, queues: Callable[[], Sequence[AcceptQueue]], goal: Goal) -> None:
        self._sampler = sampler
        self._queues = queues
        self._goal = goal
        self._last: Sample | None = None
        self._cases: dict[str, _Case] = {}

    def sample(self, now: float) -> None:
        """Look again; ``now`` is in seconds of any clock that does not go back."""
        sample, queues = self._sampler.read(), self._queues()
        sample.counters["listen.drops"] = sum(queue.drops for queue in queues)
        growth = Growth(self._last, sample, queues, self._goal)
        self._last = sample
        for symptom in SYMPTOMS:
            count = symptom.count(growth)
            if count:
                self._note(symptom, symptom.advise(growth), count, now)
        self._cases = {key: case for key, case in self._cases.items() if now - case.last < HOLD}

    def findings(self) -> list[Finding]:
        """Return the findings of now, the oldest first."""
        cases = sorted(self._cases.items(), key=lambda item: item[1].since)
        return [Finding(key, *case.advice, case.count, case.since) for key, case in cases]

    def news(self, now: float) -> list[str]:
        """Return the lines that the log is owed: a finding's first one at once, then one a minute while it goes on."""
        lines = []
        for key, case in self._cases.items():
            pause = math.inf if case.harmless else NEWS_EVERY
            if case.untold and now - case.told >= pause:
                advice = case.advice
                lines.append(f"{advice.text} ({case.untold:,} times); {advice.setting}: {advice.command} [{key}]")
                case.told, case.untold = now, 0
        return lines

    def families(self) -> list[Family]:
        """Return the numbers of the last look, as ``statscounter_kernel_*``."""
        sample = self._last or Sample({}, {})
        found = [
            Family(
                "kernel_events", True, "Counters of the kernel, of the network namespace since it exists.",
                ("group", "event"), {_split(name): float(value) for name, value in sample.counters.items()},
            ),
            Family(
                "kernel_level", False, "Sockets, pages of their memory, tracked connections, open files; limits.",
                ("group", "kind"), {_split(name): float(value) for name, value in sample.levels.items()},
            ),
        ]  # fmt: skip
        active: dict[tuple[str, ...], float] = {(one.id,): float(one.id in self._cases) for one in SYMPTOMS}
        found.append(Family("kernel_finding", False, "1 while a limit of the kernel is being hit.", ("id",), active))
        return found

    def _note(self, symptom: Symptom, advice: Advice, count: int, now: float) -> None:
        case = self._cases.get(symptom.id)
        if case is None:
            self._cases[symptom.id] = _Case(advice, now, now, count, count, symptom.harmless)
        else:
            case.advice, case.last = advice, now
            case.count += count
            case.untold += count


def _split(name: str) -> tuple[str, str]:
    group, _, event = name.partition(".")
    return group, event
