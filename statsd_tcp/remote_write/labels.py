"""From a line of the page to the labels of a series in a request.

    hits{code="200",node="b"}    __name__="hits" code="200" exported_node="b" node="a"

A label that the output adds stays what it is; one of the series that has its name gets a prefix, as it does when
Prometheus scrapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from statsd_tcp.remote_write.encoding import label_fields

__all__ = ["NAME", "Labels"]

NAME: Final = "__name__"

_PAIR = re.compile(r'([A-Za-z0-9_]+)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_MEANT = {"n": "\n"}
_EXPORTED = "exported_"


class Labels:
    """Writes the labels of series; ``added`` are those of all series of an output."""

    def __init__(self, added: Mapping[str, str]) -> None:
        self._added = added

    def of_head(self, head: str) -> bytes:
        """Return the labels of a line, of which ``head`` is all that is before the number."""
        name, brace, rest = head.partition("{")
        if not brace:
            return self.of(name.rstrip(" "), ())
        return self.of(name, [(key, _plain(value)) for key, value in _PAIR.findall(rest)])

    def of(self, name: str, labels: Iterable[tuple[str, str]]) -> bytes:
        """Return the labels of a series with that name and these labels of its own."""
        known = dict(self._added)
        for key, value in labels:
            free = key
            while free in known:
                free = _EXPORTED + free
            known[free] = value
        return label_fields([(NAME, name), *known.items()])


def _plain(value: str) -> str:
    return _ESCAPE.sub(lambda found: _MEANT.get(found[1], found[1]), value) if "\\" in value else value
