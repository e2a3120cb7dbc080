"""A mapping file of statsd_exporter: read, checked, and what is missing in it filled in.

docs/mapping.md lists every key. What the file's own program has renamed since is still read, with a warning; what
cannot be meant is refused with its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from yaml.nodes import Node

from statsd_tcp.mapping.observing import HISTOGRAM, SUMMARY, chosen, modern, observing
from statsd_tcp.mapping.patterns import PatternError, compile_regex
from statsd_tcp.mapping.rules import METRIC_TYPES, PLAIN, MappingRules, MetricType, Rule, Treatment
from statsd_tcp.mapping.yaml_source import Source

__all__ = ["DEFAULT_BUCKETS", "read_mapping"]

DEFAULT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The buckets of a histogram for which none are given, in seconds for times."""

_MOST_SCALE: Final = 1e15
"""A value is at most 2^53: what is scaled stays far from infinity, which would spoil a total for good."""

_MATCH_TYPES: Final = {"glob": False, "regex": True, "": False}
_ACTIONS: Final = {"map": False, "drop": True, "": False}
_TYPES: Final[Mapping[str, MetricType]] = {"counter": "counter", "gauge": "gauge", "observer": "observer"}

_GLOB: Final = re.compile(r"(?:\*|[A-Za-z_][A-Za-z0-9_-]*)(?:\.\*|\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")
_NAME: Final = re.compile(r"(?:[A-Za-z_]|\$\{?[0-9]+\}?)(?:[A-Za-z0-9_]|\$\{?[0-9]+\}?)*")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED_LABEL: Final = re.compile(r"le|quantile|__.*")


def read_mapping(text: str, name: str) -> MappingRules:
    """Read a mapping; ``name`` is how errors and warnings call it. Raises `MappingError`."""
    source = Source(name)
    root = source.compose(text)
    if root is None:
        return MappingRules(source=name)
    tables = source.fields(root, {"defaults": lambda node: node, "mappings": lambda node: node})
    defaults = _Defaults(source, tables.get("defaults"))
    rules = source.items(tables["mappings"], defaults.rule) if "mappings" in tables else []
    return MappingRules(
        rules=tuple(rules),
        default=defaults.treatment,
        unordered=defaults.unordered,
        warnings=tuple(source.warnings),
        source=name,
    )


class _Defaults:
    """The table ``defaults``, and how rules are read on top of it."""

    def __init__(self, source: Source, node: Node | None) -> None:
        self._source = source
        readers = {**observing(source), "match_type": chosen(source, _MATCH_TYPES), "ttl": source.duration}
        readers["glob_disable_ordering"] = source.truth
        values = source.fields(node, readers) if node is not None else {}
        self._observer_type: str | None = modern(values, "observer_type", "timer_type")
        self._regex: bool = values.get("match_type", False)
        self._ttl: float = values.get("ttl", 0.0)
        self.unordered: bool = values.get("glob_disable_ordering", False)
        self._summary = values.get("summary_options", {})
        self._summary.setdefault("quantiles", values.get("quantiles") or ())
        histogram = values.get("histogram_options", {})
        self._buckets = histogram.get("buckets") or values.get("buckets") or DEFAULT_BUCKETS
        self.treatment = self._treat(self._observer_type, {}, (), self._ttl, "")
        self._readers: dict[str, Callable[[Node], Any]] = {
            **observing(source),
            "match": partial(_with_node, source.text),
            "name": partial(_with_node, source.text),
            "labels": lambda node: _labels(source, node),
            "honor_labels": source.truth,
            "match_type": chosen(source, _MATCH_TYPES),
            "help": source.text,
            "action": chosen(source, _ACTIONS),
            "match_metric_type": lambda node: _metric_type(source, node),
            "ttl": source.duration,
            "scale": lambda node: (source.number(node, lowest=-_MOST_SCALE, highest=_MOST_SCALE), node),
        }

    def rule(self, node: Node) -> Rule:
        """Read a rule."""
        source = self._source
        values = source.fields(node, self._readers)
        match, match_node = values.get("match", ("", node))
        drop = values.get("action", False)
        regex = values.get("match_type", self._regex)
        if "match" not in values:
            source.fail(node, "the rule has no match")
        _check_match(source, match_node, match, regex=regex)
        name, name_node = values.get("name", ("", node))
        if not name and not drop:
            source.fail(node, "the rule has no name")
        if name and not _NAME.fullmatch(name):
            source.fail(name_node, f"{name!r} is not a metric name with references such as $1 or ${{1}}")
        metric_types = values.get("match_metric_type", METRIC_TYPES)
        scale, scale_node = values.get("scale", (1.0, node))
        if scale < 0.0 and "counter" in metric_types and not drop:
            source.fail(
                scale_node, "a counter never falls: a scale below 0 needs a match_metric_type, gauge or observer"
            )
        return Rule(
            match=match,
            regex=regex,
            metric_types=metric_types,
            name=name,
            labels=values.get("labels", ()),
            honor_labels=values.get("honor_labels", False),
            drop=drop,
            scale=scale,
            treatment=self._treatment_of(node, values),
            line=node.start_mark.line + 1,
        )

    def _treatment_of(self, node: Node, values: dict[str, Any]) -> Treatment:
        source = self._source
        own = modern(values, "observer_type", "timer_type")
        kind = own or self._observer_type
        summary, histogram = values.get("summary_options"), values.get("histogram_options")
        if kind == HISTOGRAM and summary is not None:
            source.fail(node, "the observer type is histogram, but there are summary_options")
        if kind == SUMMARY and histogram is not None:
            source.fail(node, "the observer type is summary, but there are histogram_options")
        if histogram is not None and kind is None:
            source.warn(node, "histogram_options do nothing without observer_type: histogram")
        quantiles = _once(source, node, values, summary or {}, "quantiles")
        buckets = _once(source, node, values, histogram or {}, "buckets")
        given = {**(summary or {}), "quantiles": quantiles}
        return self._treat(kind, given, buckets, values.get("ttl", 0.0) or self._ttl, values.get("help", ""))

    def _treat(
        self, kind: str | None, summary: dict[str, Any], buckets: tuple[float, ...], ttl: float, text: str
    ) -> Treatment:
        if kind == HISTOGRAM:
            return Treatment(buckets=buckets or self._buckets, ttl=ttl, help=text)
        names = ("quantiles", "max_age", "age_buckets")
        options = {name: summary.get(name) or self._summary.get(name) for name in names}
        given = {name: value for name, value in options.items() if value}
        treatment = Treatment(ttl=ttl, help=text, **given)
        return PLAIN if treatment == PLAIN else treatment


def _labels(source: Source, node: Node) -> tuple[tuple[str, str], ...]:
    labels = []
    for key, value in source.pairs(node):
        if not _LABEL.fullmatch(key.value):
            source.fail(key, f"{key.value!r} is not a label name")
        if _RESERVED_LABEL.fullmatch(key.value):
            source.warn(key, f"the label {key.value} is Prometheus' own and becomes exported_{key.value}")
        labels.append((key.value, source.text(value)))
    return tuple(labels)


def _metric_type(source: Source, node: Node) -> tuple[MetricType, ...]:
    if source.text(node) == "timer":
        source.warn(node, "match_metric_type: timer is now called observer")
        return ("observer",)
    return (source.choice(node, _TYPES),)


def _check_match(source: Source, node: Node, match: str, *, regex: bool) -> None:
    if not regex:
        if not _GLOB.fullmatch(match):
            source.fail(node, f"{match!r} is not a glob: fields between dots, each a name or a star")
        return
    try:
        compile_regex(match)
    except PatternError as error:
        source.fail(node, str(error))


def _once(source: Source, node: Node, rule: dict[str, Any], options: dict[str, Any], name: str) -> tuple[float, ...]:
    old, new = rule.get(name) or (), options.get(name) or ()
    if old and new:
        source.fail(node, f"{name} are given twice: in the rule, and in its options")
    both: tuple[float, ...] = old or new
    return both


def _with_node(reader: Callable[[Node], str], node: Node) -> tuple[str, Node]:
    return reader(node), node
