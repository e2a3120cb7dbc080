"""From lines to an interval, as fast as Python can.

What a line costs that was not counted as the repetition of another is the loop of `Digest.count`: two partitions, one
look-up of its shape, one number. Lines that are not plainly one number take the way of `wire.line.parse_line`, with the
same result.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from statsd_tcp.aggregate.counter_sums import CounterSums
from statsd_tcp.aggregate.examples import BAD_TAGS, Examples
from statsd_tcp.aggregate.gauges import CHANGE_BYTES, Change, append_change
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.values import NUMBER_BYTES, Values, packed
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.line import Parsed, complete
from statsd_tcp.wire.memo import Key, ShapeMemo
from statsd_tcp.wire.numbers import LARGEST_CHANGE, LIMIT
from statsd_tcp.wire.samples import Kind, Sample
from statsd_tcp.wire.shape import Shape, packed_numbers, plain_number

__all__ = ["COLLECTED", "Digest", "Learnt"]

Learnt = tuple[bytes, Shape | None]
"""A line whose shape was new, and the shape; None if nothing in the line was good."""

COLLECTED: Final = 16_384
"""About how many values are collected before they are counted, which takes some 3 ms for 1000 shapes."""

MEMBER_BYTES: Final = 64
"""What a set's member takes in addition to its text, about."""

_SIGNS: Final = b"+-"


class Digest:
    """Adds lines of one grammar to an interval. What it still holds back comes with ``flush``.

    ``held``: about how many bytes it has put into the interval that grow with the lines and not only with the series.
    """

    __slots__ = ("_collected", "_counters", "_examples", "_grammar", "_interval", "_memo", "_once", "_rejected", "held")

    def __init__(
        self,
        grammar: Grammar,
        interval: Interval,
        counters: CounterSums,
        examples: Examples,
        rejected: set[bytes] | None = None,
    ) -> None:
        """Read lines by ``grammar`` into ``interval``, and counters into ``counters``.

        Those in which something is bad are shown to ``examples``, and put into ``rejected`` if nothing in them counts.
        """
        self._grammar = grammar
        self._examples = examples
        self._rejected = rejected
        self._memo = ShapeMemo(grammar)
        self._interval = interval
        self._counters = counters
        # Values that came once, by shape: collecting many and then counting them is faster than counting each.
        self._once: dict[Shape, list[float]] = {}
        self._collected = 0
        self.held = 0

    def flush(self) -> None:
        """Add what was collected to the interval."""
        once, self._once, self._collected = self._once, {}, 0
        for shape, numbers in once.items():
            self._add_numbers(shape, numbers, 1)

    def begin(self, interval: Interval) -> None:
        """Add all that comes to another interval."""
        self.flush()
        self._interval = interval
        self.held = 0

    @property
    def shapes(self) -> dict[Key, Shape]:
        """The shapes met lately."""
        return self._memo.young

    def add_sums(self, counters: list[tuple[Shape, float, int]], timers: list[tuple[Shape, bytes]]) -> None:
        """Add what `aggregate.sums.Sums` gives."""
        wholes, lines = self._counters.wholes, 0
        for shape, added, times in counters:
            lines += times
            total = wholes.get(shape.series, 0.0) + added
            if added.is_integer() and total < LIMIT:
                wholes[shape.series] = total
            else:
                self._counters.add(shape.series, added)
        self._note_counters(lines)
        for shape, numbers in timers:
            self._add_values(shape.kind, shape.series, numbers, 1, 1.0 / shape.rate)

    def count(self, lines: Collection[tuple[bytes, int]], tick: int = 0) -> list[Learnt]:
        """Add lines, none of them empty, each as often as its number says; return those whose shapes were new.

        What happens to a gauge has an order, so the number of its lines must be 1: they change it one
        after the other, at ``tick``.
        """
        memo = self._memo
        shape_of = memo.young.get
        signed = self._grammar.signed_gauges
        once = self._once
        counters = self._counters
        wholes = counters.wholes
        before = wholes.get
        counted = 0
        learnt: list[Learnt] = []
        for line, times in lines:
            head, _, rest = line.partition(b":")
            values, _, suffix = rest.partition(b"|")
            shape = shape_of((head, suffix))
            if shape is None:
                shape = memo.learn((head, suffix))
                shape_of = memo.young.get
                learnt.append((line, shape))
            is_whole = len(values) <= shape.digits and values.isdigit()
            number = float(values) if is_whole else plain_number(shape, values) if shape.plain else None
            if number is None:
                if not self._add_odd(line, shape, values, times, tick):
                    self._unlearn(learnt, line)
            elif shape.kind == "g":
                self._change(line, shape, number, tick, relative=signed and values[0] in _SIGNS)
            elif shape.kind == "c":
                counted += times
                if is_whole and shape.rate == 1.0 and (total := before(shape.series, 0.0) + times * number) < LIMIT:
                    wholes[shape.series] = total
                else:
                    counters.add(shape.series, number / shape.rate, times)
            elif times == 1:
                collected = once.get(shape)
                if collected is None:
                    collected = once[shape] = []
                collected.append(number)
            else:
                self._add_numbers(shape, [number], times)
        self._note_counters(counted)
        self._collected += len(lines)
        if self._collected > COLLECTED:
            self.flush()
        return learnt

    def _note_counters(self, number: int) -> None:
        if number:
            self._interval.samples["c"] = self._interval.samples.get("c", 0) + number

    def _unlearn(self, learnt: list[Learnt], line: bytes) -> None:
        """Treat a shape that was learnt from a bad line as new, if it can have good ones: then its series comes."""
        if not learnt or learnt[-1][0] is not line:
            return
        shape, learnt[-1] = learnt[-1][1], (line, None)
        if shape is not None and not (shape.reason or shape.special):
            head, _, rest = line.partition(b":")
            self._memo.forget((head, rest.partition(b"|")[2]))

    def _change(self, line: bytes, shape: Shape, number: float, tick: int, *, relative: bool) -> None:
        interval, series = self._interval, shape.series
        if not relative:
            interval.gauges[series] = [(tick, False, number)]
        elif -LARGEST_CHANGE <= number <= LARGEST_CHANGE:
            self._append_change(series, (tick, True, number))
        else:
            self._add_odd(line, shape, line.partition(b":")[2].partition(b"|")[0], 1, tick)
            return
        interval.samples["g"] = interval.samples.get("g", 0) + 1

    def _append_change(self, series: str, change: Change) -> None:
        changes = self._interval.gauges.setdefault(series, [])
        before = len(changes)
        append_change(changes, change)
        self.held += CHANGE_BYTES * (len(changes) - before)

    def _add_numbers(self, shape: Shape, numbers: list[float], times: int) -> None:
        """Add values of a counter or timer, each of which came ``times``."""
        if shape.kind != "c":
            self._add_values(shape.kind, shape.series, packed(numbers), times, 1.0 / shape.rate)
            return
        samples = self._interval.samples
        samples["c"] = samples.get("c", 0) + times * len(numbers)
        for number in numbers:
            self._counters.add(shape.series, number / shape.rate, times)

    def _add_values(self, kind: Kind, series: str, numbers: bytes, times: int, rate: float) -> None:
        """Add packed values of a timer, each of which came ``times`` and stands for ``rate`` events each time."""
        interval = self._interval
        number = len(numbers) // NUMBER_BYTES
        interval.samples[kind] = interval.samples.get(kind, 0) + times * number
        # Only ``ms`` is a time; the other two have no unit.
        of_kind = interval.times if kind == "ms" else interval.distributions
        values = of_kind.get(series)
        if values is None:
            values = of_kind[series] = Values()
        values.add(numbers, times, rate)
        self.held += len(numbers)

    def _add_odd(self, line: bytes, shape: Shape, values: bytes, times: int, tick: int) -> bool:
        """Add a line that is not plainly one number; return whether there is anything in it to count."""
        packed = packed_numbers(shape, values) if shape.plain and shape.kind != "g" else None
        if packed is None:
            parsed = complete(line, shape, values, self._grammar)
            if parsed.what == "bad" and self._rejected is not None:
                self._rejected.add(line)
            if parsed.reason:
                self._examples.note_line(parsed.reason, line)
            elif parsed.bad_tags:
                self._examples.note(BAD_TAGS, line)
            self._add_parsed(parsed, times, tick)
            return bool(parsed.samples)
        self._add_numbers(shape, packed, times)
        return True

    def _add_parsed(self, parsed: Parsed, times: int, tick: int) -> None:
        interval = self._interval
        if parsed.reason:
            interval.bad_lines[parsed.reason] = interval.bad_lines.get(parsed.reason, 0) + times
        elif parsed.what == "event":
            interval.events += times
        elif parsed.what == "service_check":
            interval.service_checks += times
        interval.bad_tags += times * parsed.bad_tags
        for sample in parsed.samples:
            self._add_sample(sample, times, tick)

    def _add_sample(self, sample: Sample, times: int, tick: int) -> None:
        interval, series, value = self._interval, sample.series, sample.value
        if not isinstance(value, str) and sample.kind not in {"c", "g"}:
            self._add_values(sample.kind, series, packed((value,)), times, sample.weight)
            return
        interval.samples[sample.kind] = interval.samples.get(sample.kind, 0) + times
        if isinstance(value, str):
            self._add_member(series, value)
        elif sample.kind == "c":
            self._counters.add(series, value, times)
        else:
            self._append_change(series, (tick, sample.relative, value))

    def _add_member(self, series: str, member: str) -> None:
        members = self._interval.sets.setdefault(series, set())
        if member not in members:
            members.add(member)
            self.held += MEMBER_BYTES + len(member)
