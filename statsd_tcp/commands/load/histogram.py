"""A latency distribution as rows of text. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from statsd_tcp.commands.load.results import Bucket

__all__ = ["histogram"]

# No wider on a wide terminal: the eye compares lengths of a hand's breadth best.
_WIDEST = 48
_EIGHTHS = " ▏▎▍▌▋▊▉"


def histogram(buckets: Sequence[Bucket], width: int, encoding: str) -> list[str]:
    """Draw one bar for each bucket, in rows of at most ``width`` columns.

    Bars are drawn to an eighth of a column where ``encoding`` has the characters for it, else of number signs.
    """
    if not buckets:
        return []
    whole = sum(bucket.values for bucket in buckets)
    labels = [f"{_in_ms(bucket.least)} to {_in_ms(bucket.most)} ms" for bucket in buckets]
    counts = [f"{bucket.values:,}" for bucket in buckets]
    left, right = max(map(len, labels)), max(map(len, counts))
    # Two spaces before the bar, and a share of seven characters with its space before the count.
    room = max(1, min(_WIDEST, width - left - right - 11))
    most = max(bucket.values for bucket in buckets)
    rows = []
    for bucket, label, count in zip(buckets, labels, counts, strict=True):
        bar = _bar(bucket.values / most * room, encoding)
        rows.append(f"{label:>{left}}  {bar:<{room}}  {bucket.values / whole:6.1%} {count:>{right}}")
    return rows


def _in_ms(seconds: float) -> str:
    """Write a whole number of microseconds, in milliseconds."""
    return f"{seconds * 1000:.3f}".rstrip("0").rstrip(".")


def _bar(columns: float, encoding: str) -> str:
    """Draw a bar; where there is anything there is something to see."""
    if not columns:
        return ""
    if not encoding.lower().replace("-", "").startswith("utf"):
        return "#" * max(1, round(columns))
    eighths = max(1, round(columns * 8))
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
