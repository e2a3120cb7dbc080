"""The counters that OpenMetrics can know as such: they end in ``_total``, and nothing else has the name before it."""

from __future__ import annotations

from collections.abc import Callable

from statsd_tcp.mapping.shown import OBSERVED, PARTS, is_reserved, whole_of

__all__ = ["TOTAL", "Totals"]

TOTAL = "_total"
_CREATED = "_created"


class Totals:
    """The counters that end in ``_total`` and are ``ambiguous`` all the same; ``kind`` returns a family's, or ""."""

    def __init__(self, kind: Callable[[str], str]) -> None:
        self.ambiguous: set[str] = set()
        self._kind = kind
        self._are_any = False

    def note(self, name: str, kind: str) -> None:
        """Look again at the counters that depend on a family which came or went."""
        if name.endswith(TOTAL):
            self._are_any = True
            self._judge(name)
        if self._are_any:
            parts = [name + part for part in PARTS] if kind in OBSERVED else []
            for base in (name, name.removesuffix(_CREATED), *parts):
                self._judge(base + TOTAL)

    def _judge(self, total: str) -> None:
        if self._kind(total) == "c" and self._is_taken(total.removesuffix(TOTAL)):
            self.ambiguous.add(total)
        else:
            self.ambiguous.discard(total)

    def _is_taken(self, base: str) -> bool:
        if not base or is_reserved(base) or is_reserved(base + _CREATED):
            return True
        whole = whole_of(base)
        return bool(self._kind(base) or self._kind(base + _CREATED)) or bool(whole and self._kind(whole) in OBSERVED)
