"""Which variant of the grammar a listener speaks: tag styles, what a sign means, how long a line may be."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final, Literal, get_args

import msgspec

__all__ = ["DEFAULT_MAX_LINE", "DIALECTS", "FRAMINGS", "Dialect", "Framing", "Grammar"]

# DogStatsD's default for a whole datagram: what is one there may be a line here. And it is little enough for an idle
# connection to hold.
DEFAULT_MAX_LINE: Final = 8192


Dialect = Literal["etsy", "dogstatsd"]
"""The grammars that a listener can be given by name (``dialect=``)."""

Framing = Literal["lines", "length"]
"""How a stream says where a line ends: by a newline, or by a length in front of each packet (``framing=``)."""

FRAMINGS: Final[tuple[Framing, ...]] = get_args(Framing)


class Grammar(msgspec.Struct, frozen=True, dict=True):
    """The grammar of one listener. Equal grammars parse every line alike and may share what they have learnt.

    The first five say which tag styles are understood: ``|#k:v,bare``, ``name,k=v``, ``name#k=v``,
    ``name[k=v]``, ``name;k=v``. The characters of a style that is off are ordinary ones; a ``|#`` section
    is then ignored as unknown sections are. ``signed_gauges``: ``+5|g`` and ``-5|g`` change a gauge; if
    False, they set it like unsigned values. ``max_line``: the most bytes that a line may have, its newline
    not counted.
    """

    dogstatsd: bool = True
    influx: bool = True
    librato: bool = True
    signalfx: bool = True
    graphite: bool = True
    signed_gauges: bool = True
    max_line: int = DEFAULT_MAX_LINE

    @cached_property
    def name_delimiters(self) -> re.Pattern[str]:
        """A pattern for the characters that begin the tags inside a name."""
        styles = {",": self.influx, "#": self.librato, "[": self.signalfx, ";": self.graphite}
        return re.compile("|".join(re.escape(delimiter) for delimiter, on in styles.items() if on) or "(?!)")


DIALECTS: Final[dict[str, Grammar]] = {"etsy": Grammar(), "dogstatsd": Grammar(signed_gauges=False)}
