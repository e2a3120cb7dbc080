"""The values of the options about outputs and what they get, read and checked. All raise ``ValueError``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from statsd_tcp.aggregate.timers import FIELDS, Histogram
from statsd_tcp.settings.fields import arguments_of, split_fields

__all__ = [
    "IDLE_KINDS",
    "ConsoleForm",
    "PluginSpec",
    "parse_console",
    "parse_histogram",
    "parse_idle_kinds",
    "parse_percentiles",
    "parse_plugin",
    "parse_timer_fields",
]

ConsoleForm = Literal["human", "json"]
"""How flushes are printed."""

IDLE_KINDS = {"counters": "c", "gauges": "g", "timers": "ms", "sets": "s"}
"""The names of the kinds, as they are written in options, and the kinds."""

_LARGEST = 100.0
_A_PERCENTILE = "a percentile: above 0 and up to 100, or the same below 0, as in 90,99.9,-10"


def parse_percentiles(text: str) -> tuple[float, ...]:
    """Read percentiles between commas: ``90,99.9,-10``; a negative one looks at the largest values."""
    if text == "none":
        return ()
    return tuple(dict.fromkeys(_percentile(part.strip()) for part in text.split(",")))


def _percentile(text: str) -> float:
    value = _number(text, _A_PERCENTILE)
    if not 0 < abs(value) <= _LARGEST:
        raise ValueError(f"{text!r} is not {_A_PERCENTILE}")
    return value


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value) or text.lower().strip("+-").startswith("n"):
        raise ValueError(f"{text!r} is not {what}")
    return value


def parse_timer_fields(text: str) -> frozenset[str]:
    """Read the numbers that are wanted of timers, between commas; those of all percentiles as ``upper_percent``."""
    known = {*FIELDS, "histogram"} | {
        f"{name}_percent" for name in ("count", "mean", "upper", "lower", "sum", "sum_squares")
    }
    wanted = frozenset(part.strip() for part in text.split(","))
    # The digits after the point are taken for the percentile, and what is before them stays.
    unknown = [name for name in wanted if name not in known and not name.endswith("_percent")]
    if unknown:
        raise ValueError(f"{min(unknown)!r} is not one of {', '.join(sorted(known))}")
    return wanted


def parse_histogram(text: str) -> Histogram:
    """Read ``PART=LIMIT,LIMIT,...``: bins for the timers whose name contains PART; the last limit may be ``inf``.

    Without a limit these timers get no bins.
    """
    metric, equals, limits = text.rpartition("=")
    if not equals:
        raise ValueError(f"{text!r} is not of the form PART=LIMIT,LIMIT,... or PART=")
    parts = [part.strip() for part in limits.split(",")] if limits.strip() else []
    bounds = [(part, _number(part, "the limit of a bin, as in PART=10,50,inf")) for part in parts]
    if [bound for _, bound in bounds] != sorted(bound for _, bound in bounds):
        raise ValueError(f"{limits}: the limits do not rise")
    return Histogram(metric, tuple(bounds))


def parse_idle_kinds(text: str) -> frozenset[str]:
    """Read the kinds whose idle series are left out: ``all``, or some of counters, gauges, timers, sets."""
    names = list(IDLE_KINDS) if text == "all" else [part.strip() for part in text.split(",")]
    for name in names:
        if name not in IDLE_KINDS:
            raise ValueError(f"{name!r} is not one of all, {', '.join(IDLE_KINDS)}")
    return frozenset(IDLE_KINDS[name] for name in names)


class PluginSpec(msgspec.Struct, frozen=True):
    """An output of another package: the name of its entry point, and its arguments."""

    name: str
    arguments: Mapping[str, str]

    @property
    def label(self) -> str:
        """Return its name among the outputs; ``name=`` tells two of the same kind apart."""
        return self.arguments.get("name", self.name)


def parse_plugin(text: str) -> PluginSpec:
    """Read ``NAME[:key=value...]``; raises ``ValueError``."""
    name, *fields = split_fields(text)
    if not name:
        raise ValueError("the name of the output is missing")
    return PluginSpec(name, arguments_of(fields))


def parse_console(text: str) -> ConsoleForm:
    """Read the value of ``--console``."""
    if text == "human":
        return "human"
    if text == "json":
        return "json"
    raise ValueError(f"{text!r} is not one of human, json")
