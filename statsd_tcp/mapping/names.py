"""From a series' raw identity to a name and labels for Prometheus, as statsd_exporter without a mapping.

    hits.page                    hits_page
    hits.page, tag code:200      hits_page{code="200"}
    9lives                       _9lives

Whatever the raw name is, the result is valid: a series that came off the network cannot spoil a scrape.
"""

from __future__ import annotations

import re

from statsd_tcp.wire.series import split_identity

__all__ = ["exposition_name", "label_name", "name_and_labels"]

# A run of dashes becomes one underscore, any other character that is not allowed one of its own.
_INVALID = re.compile(r"-+|[^A-Za-z0-9_]")
_DIGITS = frozenset("0123456789")

_RESERVED_LABELS = frozenset({"le", "quantile"})
_RESERVED_PREFIX = "__"
_EXPORTED = "exported_"

_BARE = "true"
"""The value of a tag that has none."""

_VALUE_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition_name(raw: str) -> str:
    """Make a metric name of letters, digits and underscores, which does not begin with a digit."""
    name = _INVALID.sub("_", raw) or "_"
    return "_" + name if name[0] in _DIGITS else name


def label_name(raw: str) -> str:
    """Make a label name, by the rule for metric names; one that Prometheus keeps for itself gets a prefix."""
    name = exposition_name(raw)
    if name in _RESERVED_LABELS or name.startswith(_RESERVED_PREFIX):
        return _EXPORTED + name
    return name


def name_and_labels(identity: str) -> tuple[str, str]:
    """Return a series' metric name, and its labels as they are written: sorted, escaped, in braces, or nothing.

    Of two tags that get the same label name the last in the order of the raw keys counts.
    """
    if "\n" not in identity:
        return exposition_name(identity), ""
    raw, tags = split_identity(identity)
    labels = {label_name(key): value or _BARE for key, value in tags}
    pairs = (f'{name}="{value.translate(_VALUE_ESCAPES)}"' for name, value in sorted(labels.items()))
    return exposition_name(raw), "{" + ",".join(pairs) + "}"
