"""What a mapping file says about timers and distributions: summaries, histograms, and the old names of their keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from yaml.nodes import Node, ScalarNode

from statsd_tcp.mapping.yaml_source import Source

__all__ = ["HISTOGRAM", "SUMMARY", "chosen", "modern", "observing"]

SUMMARY, HISTOGRAM = "summary", "histogram"

_OBSERVER_TYPES: Final = {SUMMARY: SUMMARY, HISTOGRAM: HISTOGRAM, "": SUMMARY}

_MOST_BUCKETS: Final = 500
_MOST_AGE_BUCKETS: Final = 100
_MOST_ANYTHING: Final = 2**31

_INFINITE: Final = frozenset({"+inf", "inf", ".inf", "+.inf"})


def observing(source: Source) -> dict[str, Callable[[Node], Any]]:
    """Return the readers of what defaults and rules can both say about observers."""
    return {
        "observer_type": chosen(source, _OBSERVER_TYPES),
        "timer_type": _renamed(source, "timer_type", "observer_type", chosen(source, _OBSERVER_TYPES)),
        "quantiles": _renamed(source, "quantiles", "summary_options", lambda node: _quantiles(source, node)),
        "buckets": _renamed(source, "buckets", "histogram_options", lambda node: _buckets(source, node)),
        "summary_options": lambda node: _summary_options(source, node),
        "histogram_options": lambda node: _histogram_options(source, node),
    }


def _summary_options(source: Source, node: Node) -> dict[str, Any]:
    whole = partial(source.whole, highest=_MOST_AGE_BUCKETS)
    readers: dict[str, Callable[[Node], Any]] = {
        "quantiles": lambda value: _quantiles(source, value),
        "max_age": source.duration,
        "age_buckets": whole,
        # The size of a buffer that is not needed here.
        "buf_cap": partial(source.whole, highest=_MOST_ANYTHING),
        "max_summary_age": _renamed(source, "max_summary_age", "max_age", source.duration),
        "summary_age_buckets": _renamed(source, "summary_age_buckets", "age_buckets", whole),
        "stream_buffer_size": _renamed(
            source, "stream_buffer_size", "buf_cap", partial(source.whole, highest=_MOST_ANYTHING)
        ),
    }
    values = source.fields(node, readers)
    return {
        "quantiles": values.get("quantiles", ()),
        "max_age": modern(values, "max_age", "max_summary_age"),
        "age_buckets": modern(values, "age_buckets", "summary_age_buckets"),
    }


def _histogram_options(source: Source, node: Node) -> dict[str, Any]:
    return source.fields(
        node,
        {
            "buckets": lambda value: _buckets(source, value),
            "native_histogram_bucket_factor": _native(source, source.number),
            "native_histogram_max_buckets": _native(source, partial(source.whole, highest=_MOST_ANYTHING)),
        },
    )


def _quantiles(source: Source, node: Node) -> tuple[float, ...]:
    between = partial(source.number, lowest=0.0, highest=1.0)

    def read(item: Node) -> float:
        values = source.fields(item, {"quantile": between, "error": between})
        if "quantile" not in values:
            source.fail(item, "the quantile is missing")
        quantile: float = values["quantile"]
        return quantile

    return tuple(sorted(set(source.items(node, read))))


def _buckets(source: Source, node: Node) -> tuple[float, ...]:
    def read(item: Node) -> float | None:
        infinite = isinstance(item, ScalarNode) and item.value.lower() in _INFINITE
        return None if infinite else source.number(item)

    bounds = source.items(node, read)
    if bounds and bounds[-1] is None:
        # Infinity is always the last one.
        bounds.pop()
    finite = [bound for bound in bounds if bound is not None]
    if finite != sorted(set(finite)) or len(finite) != len(bounds):
        source.fail(node, "buckets must grow from one to the next")
    if len(finite) > _MOST_BUCKETS:
        source.fail(node, f"more than {_MOST_BUCKETS} buckets")
    return tuple(finite)


def modern(values: dict[str, Any], name: str, old: str) -> Any:
    """Return what was read under a name or, if there is nothing, under its old one."""
    return values.get(name) or values.get(old)


def chosen(source: Source, choices: Mapping[str, Any]) -> Callable[[Node], Any]:
    """Make the reader of one of some words."""
    return lambda node: source.choice(node, choices)


def _renamed(source: Source, old: str, new: str, reader: Callable[[Node], Any]) -> Callable[[Node], Any]:
    def read(node: Node) -> Any:
        source.warn(node, f"{old} is an old name; today it is {new}")
        return reader(node)

    return read


def _native(source: Source, reader: Callable[[Node], Any]) -> Callable[[Node], Any]:
    def read(node: Node) -> Any:
        source.warn(node, "native histograms need Prometheus' binary format; the classic buckets are there instead")
        return reader(node)

    return read
