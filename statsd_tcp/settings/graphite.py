"""The value of ``--graphite``: where a carbon is, which protocol it speaks, and how names are made for it."""

from __future__ import annotations

import msgspec

from statsd_tcp.settings.fields import arguments_of, network_port, split_fields
from statsd_tcp.settings.host_name import expand, has_node

__all__ = ["GraphiteTarget", "NameRules", "parse_graphite"]

_ONLY_NEW = ("prefix", "counters", "timers", "gauges", "sets")
_PARTS = (*_ONLY_NEW, "suffix", "stats")
_KEYS = ("protocol", "namespace", *_PARTS, "counts", "node")
_FEWEST_FIELDS = 3


class NameRules(msgspec.Struct, frozen=True, kw_only=True):
    """How names are made; ``prefix`` and the names of kinds are for the new ones.

    ``prefix`` stands before all, ``counters`` and so on before the names of their kind, ``stats`` before the
    service's own; an empty one is left out. ``counts``: counters are sent as they are too, and not only as rates.
    ``node`` is the value of a tag of that name that all paths have; "" for none. Names of the machine and of the node
    are put in by `GraphiteTarget.of_node`.
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
    node: str = ""


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

    @property
    def has_node(self) -> bool:
        """Return whether paths have the name of the node."""
        return any(has_node(getattr(self.names, key)) for key in (*_PARTS, "node"))

    def of_node(self, node: str) -> GraphiteTarget:
        """Return it with the names in its parts."""
        parts = {key: expand(getattr(self.names, key), node=node).strip(".") for key in _PARTS}
        names = msgspec.structs.replace(self.names, **parts, node=expand(self.names.node, node=node))
        return msgspec.structs.replace(self, names=names)


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
    names = {key: _part(key, given[key]) for key in _PARTS if key in given}
    node = "{node}" if _one_of(given, "node", ("no", "yes")) == "yes" else ""
    rules = NameRules(legacy=legacy, counts=counts, node=node, **names)
    return GraphiteTarget(host=fields[1], port=network_port(fields[2]), pickles=pickles, names=rules)


def _part(key: str, value: str) -> str:
    try:
        expand(value, node="")
    except ValueError as error:
        raise ValueError(f"{key}={value}: {error}") from None
    return value


def _one_of(given: dict[str, str], key: str, values: tuple[str, str]) -> str:
    value = given.get(key, values[0])
    if value not in values:
        raise ValueError(f"{key}={value} is not one of {', '.join(values)}")
    return value
