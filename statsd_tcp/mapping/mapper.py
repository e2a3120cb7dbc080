"""From raw series to the series that Prometheus gets: each raw identity is looked up once and then remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.firsts import First
from statsd_tcp.aggregate.gauges import Change, merge_changes
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.values import Values, joined
from statsd_tcp.mapping.names import exposition_name, label_name
from statsd_tcp.mapping.patterns import Found, GlobTree, Template, compile_regex
from statsd_tcp.mapping.rules import METRIC_TYPES, PLAIN, MappingRules, MetricType, Rule, Treatment
from statsd_tcp.wire.numbers import HIGHEST
from statsd_tcp.wire.series import series_identity, split_identity

__all__ = ["OUTCOMES", "REMEMBERED", "Mapped", "Mapper", "Target"]

REMEMBERED: Final = 64 << 20
"""Bytes in which raw identities of each metric type are remembered with what becomes of them, about 200,000 ordinary
ones; at most twice as many for a while."""

_ENTRY_BYTES: Final = 250
"""What one takes in addition to its texts, about."""

OUTCOMES: Final = ("mapped", "unmapped", "dropped", "unnamed")
"""What can become of a series: a rule named it, no rule was for it, a rule dropped it, or a rule gave it no name."""

_TYPES: Final[Mapping[str, MetricType]] = {
    "counters": "counter",
    "gauges": "gauge",
    "sets": "gauge",
    "times": "observer",
    "distributions": "observer",
}
"""By the field of an interval: what its series are to the rules."""

_BARE: Final = "true"

Treatments = Mapping[str, Treatment]
"""By identity how a series is treated; what is not in it is `PLAIN`."""


class Target(msgspec.Struct, frozen=True, gc=False):
    """What becomes of a raw series: its new identity (None: it is left out), the factor, and its treatment."""

    identity: str | None
    scale: float
    treatment: Treatment
    outcome: str


class Mapped(NamedTuple):
    """An interval under its mapped identities.

    ``treatments`` are by the fields of an interval; ``fallen`` is the last raw counter that went down. ``counters``
    says what became of each raw counter, ``outcomes`` how many series of the interval were looked up, by what became
    of them.
    """

    news: Interval
    treatments: Mapping[str, Treatments]
    fallen: str = ""
    counters: Mapping[str, Target] = {}
    outcomes: Mapping[str, int] = {}


class _Remembered:
    """The targets of one metric type, in ``most`` bytes. What is no longer looked up is forgotten."""

    def __init__(self, find: Callable[[str], Target], most: int) -> None:
        self._find = find
        self._most = most
        self._bytes = 0
        self._young: dict[str, Target] = {}
        self._old: dict[str, Target] = {}

    def get(self, identity: str) -> Target:
        """Return the target of a raw identity."""
        target = self._young.get(identity)
        if target is None:
            target = self._old.pop(identity, None) or self._find(identity)
            self._young[identity] = target
            self._bytes += _ENTRY_BYTES + identity.__sizeof__() + (target.identity or "").__sizeof__()
            if self._bytes > self._most:
                self._old, self._young, self._bytes = self._young, {}, 0
        return target

    def __len__(self) -> int:
        """Count what is remembered."""
        return len(self._young) + len(self._old)


class _Ready:
    """A rule with its templates compiled."""

    __slots__ = ("labels", "name", "regex", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.regex = compile_regex(rule.match) if rule.regex else None
        if self.regex is None:
            groups = {str(number + 1): number for number in range(rule.match.split(".").count("*"))}
        else:
            groups = {str(number): number for number in range(self.regex.groups + 1)}
            groups.update(self.regex.groupindex)
        self.name = Template(rule.name, groups)
        self.labels = [(label, Template(value, groups)) for label, value in rule.labels]


class Mapper:
    """The rules at work. For one thread."""

    def __init__(self, rules: MappingRules, remembered: int = REMEMBERED) -> None:
        self._default = rules.default
        self._globs: dict[MetricType, GlobTree[_Ready]] = {}
        self._regexes: dict[MetricType, list[_Ready]] = {}
        for metric_type in METRIC_TYPES:
            self._globs[metric_type] = GlobTree(unordered=rules.unordered)
            self._regexes[metric_type] = []
        for rule in rules.rules:
            self._add(_Ready(rule))
        self._targets = {
            metric_type: _Remembered(self._finder(metric_type), remembered) for metric_type in METRIC_TYPES
        }
        self.size = len(rules.rules)

    def target(self, metric_type: MetricType, identity: str) -> Target:
        """Return what becomes of a raw series."""
        return self._targets[metric_type].get(identity)

    def apply(self, raw: Interval) -> Mapped:
        """Map the identities of an interval's series; series that get the same identity are added up."""
        work = _Work(self)
        counters = work.counters(raw.counters)
        news = msgspec.structs.replace(
            raw,
            counters=counters,
            gauges=work.gauges(raw.gauges),
            times=work.values("times", raw.times),
            distributions=work.values("distributions", raw.distributions),
            sets=work.sets(raw.sets),
            falls=work.falls(raw.falls),
            met=work.met(raw.met),
        )
        return Mapped(news, work.treatments, work.fallen, work.targets, work.outcomes)

    def _add(self, ready: _Ready) -> None:
        for metric_type in ready.rule.metric_types:
            if ready.regex is None:
                self._globs[metric_type].add(ready.rule.match, ready)
            else:
                self._regexes[metric_type].append(ready)

    def _finder(self, metric_type: MetricType) -> Callable[[str], Target]:
        globs, regexes = self._globs[metric_type], self._regexes[metric_type]

        def find(identity: str) -> Target:
            name = identity.partition("\n")[0]
            found = globs.find(name) or _search(regexes, name)
            if found is None:
                return Target(identity, 1.0, self._default, "unmapped")
            return _target(found, identity)

        return find


def _search(regexes: list[_Ready], name: str) -> Found[_Ready] | None:
    for ready in regexes:
        match: Any = ready.regex.search(name) if ready.regex is not None else None
        if match is not None:
            # A group that took no part stands for nothing.
            return Found(ready, [match.group(0), *(group or "" for group in match.groups())])
    return None


def _target(found: Found[_Ready], identity: str) -> Target:
    rule = found.rule.rule
    if rule.drop:
        return Target(None, 1.0, PLAIN, "dropped")
    name = found.rule.name.expand(found.groups)
    if not name:
        return Target(None, 1.0, PLAIN, "unnamed")
    # The names of tags are compared as Prometheus gets them, and so they stay.
    labels = {label_name(key): value or _BARE for key, value in split_identity(identity)[1]}
    for label, template in found.rule.labels:
        written = label_name(label)
        if not (rule.honor_labels and written in labels):
            labels[written] = template.expand(found.groups)
    # A label without a value is the same as none.
    kept = [(label, value) for label, value in labels.items() if value]
    return Target(series_identity(exposition_name(name), kept), rule.scale, rule.treatment, "mapped")


class _Work:
    """One interval on its way."""

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper
        self.treatments: dict[str, dict[str, Treatment]] = {}
        self.targets: dict[str, Target] = {}
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.fallen = ""

    def counters(self, raw: Mapping[str, float]) -> dict[str, float]:
        """Map what counters went up by. No scale of theirs is below zero."""
        result: dict[str, float] = {}
        for identity, increment in raw.items():
            found = self.targets[identity] = self._ask("counters", identity)
            target = found.identity
            if target is not None:
                result[target] = result.get(target, 0.0) + increment * found.scale
        return result

    def falls(self, raw: Mapping[str, Fall]) -> dict[str, Fall]:
        """Map what they went down by. They were looked up as counters."""
        result: dict[str, Fall] = {}
        for identity, fall in raw.items():
            target = self._mapper.target("counter", identity)
            if target.identity is not None:
                self.fallen = identity
                result[target.identity] = result.get(target.identity, Fall(0.0, 0)).plus(fall.times(target.scale))
        return result

    def gauges(self, raw: Mapping[str, list[Change]]) -> dict[str, list[Change]]:
        """Map gauges. What happened to several becomes what happened to one, in the order of time."""
        found: dict[str, list[list[Change]]] = {}
        for identity, changes in raw.items():
            target, scale, *_ = msgspec.structs.astuple(self._ask("gauges", identity))
            if target is not None:
                scaled = changes
                if scale != 1.0:
                    scaled = [(tick, relative, _finite(scale * value)) for tick, relative, value in changes]
                found.setdefault(target, []).append(scaled)
        return {target: each[0] if len(each) == 1 else merge_changes(*each) for target, each in found.items()}

    def values(self, field: str, raw: Mapping[str, Values]) -> dict[str, Values]:
        """Map timers or distributions."""
        found: dict[str, list[Values]] = {}
        for identity, values in raw.items():
            target, scale, *_ = msgspec.structs.astuple(self._ask(field, identity))
            if target is not None:
                found.setdefault(target, []).append(values if scale == 1.0 else values.times(scale))
        return {target: each[0] if len(each) == 1 else joined(each) for target, each in found.items()}

    def sets(self, raw: Mapping[str, set[str]]) -> dict[str, set[str]]:
        """Map sets, which are gauges to the rules."""
        found: dict[str, list[set[str]]] = {}
        for identity, members in raw.items():
            target = self._ask("sets", identity).identity
            if target is not None:
                found.setdefault(target, []).append(members)
        return {target: each[0] if len(each) == 1 else set().union(*each) for target, each in found.items()}

    def met(self, raw: Iterable[First]) -> list[First]:
        """Map what came first. Of several that get one name the first is it."""
        targets = ((first, self._mapper.target(_TYPES[first.field], first.identity).identity) for first in raw)
        replace = msgspec.structs.replace
        return [replace(first, identity=target) for first, target in targets if target is not None]

    def _ask(self, field: str, identity: str) -> Target:
        target = self._mapper.target(_TYPES[field], identity)
        self.outcomes[target.outcome] += 1
        if target.identity is not None and target.treatment is not PLAIN:
            self.treatments.setdefault(field, {}).setdefault(target.identity, target.treatment)
        return target


def _finite(value: float) -> float:
    """Return a gauge's value, or the nearest that is no infinity: a setting may be as large as a float before it."""
    return min(max(value, -HIGHEST), HIGHEST)
