"""The value of ``--graphite``: where a carbon is, which protocol it speaks, and how names are made for it."""

from __future__ import annotations

import msgspec

from statsd_tcp.settings.fields import arguments_of, network_port, split_fields
from statsd_tcp.settings.host_name import expand

__all__ = ["GraphiteTarget", "NameRules", "parse_graphite"]

_ONLY_NEW = ("prefix", "counters", "timers", "gauges", "sets")
_KEYS = ("protocol", "namespace", *_ONLY_NEW, "suffix", "stats", "counts")
_FEWEST_FIELDS = 3


class NameRules(msgspec.Struct, frozen=True, kw_only=True):
    """How names are made; the fields other than ``legacy``, ``suffix``, ``stats`` and ``counts`` are for the new ones.

    ``prefix`` stands before all, ``counters`` and so on before the names of their kind, ``stats`` before the
    service's own; an empty one is left out. ``counts``: counters are sent as they are too, and not only as rates.
    """

    legacy: bool = True
    prefix: str = "stats"
    counters: str = "counters"
    timers: str = "timers"
    gauges: str = "gauges"
    sets: str = "sets"
    suffix: str = ""
    stats: str = "statsd"
    counts: bool = True


class GraphiteTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One carbon: where it is, the protocol of its port, and how names are made for it."""

    host: str
    port: int
    pickles: bool = False
    names: NameRules = NameRules()

    @property
    def label(self) -> str:
        """Return its name among the outputs."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"graphite:{host}:{self.port}"


def parse_graphite(text: str) -> GraphiteTarget:
    """Read ``tcp:HOST:PORT[:protocol=text|pickle][:namespace=legacy|new][:key=value...]``; raises ``ValueError``."""
    fields = split_fields(text)
    if fields[0] != "tcp" or len(fields) < _FEWEST_FIELDS or not fields[1]:
        raise ValueError(f"{text!r} is not of the form tcp:HOST:PORT")
    given = arguments_of(fields[3:], _KEYS)
    pickles = _one_of(given, "protocol", ("text", "pickle")) == "pickle"
    legacy = _one_of(given, "namespace", ("legacy", "new")) == "legacy"
    counts = _one_of(given, "counts", ("yes", "no")) == "yes"
    if legacy and (useless := [key for key in _ONLY_NEW if key in given]):
        raise ValueError(f"{useless[0]}= is for namespace=new only")
    names = {key: _part(key, given[key]) for key in (*_ONLY_NEW, "suffix", "stats") if key in given}
    rules = NameRules(legacy=legacy, counts=counts, **names)
    return GraphiteTarget(host=fields[1], port=network_port(fields[2]), pickles=pickles, names=rules)


def _part(key: str, value: str) -> str:
    try:
        return expand(value).strip(".")
    except ValueError as error:
        raise ValueError(f"{key}={value}: {error}") from None


def _one_of(given: dict[str, str], key: str, values: tuple[str, str]) -> str:
    value = given.get(key, values[0])
    if value not in values:
        raise ValueError(f"{key}={value} is not one of {', '.join(values)}")
    return value
