"""The tally for a set of listeners, as a ledger's directory names them."""

from __future__ import annotations

from collections.abc import Sequence

from statsd_tcp.aggregate.accepted import AcceptedLines
from statsd_tcp.aggregate.sums import NewSums
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.grammar import DIALECTS

__all__ = ["tally_for"]


def tally_for(
    listeners: Sequence[tuple[str, str]], accepted: AcceptedLines | None = None, new_sums: NewSums | None = None
) -> Tally:
    """Make a tally for listeners given by label and dialect, known to it by their place.

    The lines that are good are also given to ``accepted``. ``new_sums`` makes what adds plain lines up, if anything.
    """
    others = {label: DIALECTS[dialect] for label, dialect in listeners}
    return Tally(DIALECTS["etsy"], [label for label, _ in listeners], others, accepted, new_sums)
