"""Why a line means something else here: a fixed list, each with the words of docs/protocol.md that explain it."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["REASONS", "Reason"]


class Reason(NamedTuple):
    """One rule in which servers differ: the heading of docs/protocol.md that it stands under, and its words there."""

    heading: str
    words: str


REASONS: Final = {
    "raw": Reason("Names", "nothing in them is replaced on the way in, not even blanks"),
    "decimal": Reason("Values", "Numbers are finite decimals."),
    "blanks": Reason("Values", "Blanks around a value, a type and a rate are cut off"),
    "no-value": Reason("Reasons", "has a value that is not a finite decimal, is too large, or is empty"),
    "types": Reason("Types", "There are six, in lower case"),
    "unit": Reason("Types", "`h` and `d` are values without a unit and mean the same"),
    "sign": Reason("Gauges", "or directly on a listener with `dialect=dogstatsd`."),
    "rate": Reason("Sample rates", "A rate is above 0 and at most 1"),
    "weight": Reason("Sample rates", "A sampled time or value has the weight 1/rate."),
    "member": Reason("Types", "`s` is a member of a set."),
    "packed": Reason("Colons", "Among values that are packed, it separates them"),
    "untyped": Reason("Colons", "Among other values, it ends a value without a type."),
    "section": Reason("Sections", "One that begins with a letter is ignored"),
    "no-section": Reason("Sections", "so is an empty one"),
    "mistake": Reason("Sections", "Anything else is an error that must not pass silently"),
    "timestamp": Reason("Sections", "A timestamp is ignored, because a total is kept from when a line arrives."),
    "container": Reason("Sections", "The container is ignored, or becomes the tag `container_id`"),
    "pair": Reason("Tags", "A delimiter in a name begins tags only if a `key=value` follows it."),
    "last-tag": Reason("Tags", "Of a repeated key the last value counts."),
    "bad-tag": Reason("Tags", "costs only itself: it is left out, and counted."),
    "bare-tag": Reason("Tags", "a bare tag otherwise. Outputs that need a value write `true`."),
    "event": Reason("Events and service checks", "Those of DogStatsD are recognized and counted, not kept."),
    "length": Reason("Events and service checks", "An event's two lengths are not compared with its texts"),
}
"""By the names that cases call them."""
