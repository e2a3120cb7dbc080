"""Why two servers have different numbers: a short name for each reason, which the migration pages explain.

All names of reasons, and the pages' names, are here. The last section of each page lists them.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ETSY", "EXPORTER", "Origin", "Reason"]


class Reason(NamedTuple):
    """One reason: its short name, what it is in a few words, and a line that the page's tables have for it, if any."""

    name: str
    words: str
    line: str = ""


class Origin(NamedTuple):
    """The other server: what it is called, the page about moving from it, and the reasons that it has."""

    name: str
    page: str
    reasons: tuple[Reason, ...]

    def words(self, name: str) -> str:
        """Return what a reason is, with its line."""
        reason = next(reason for reason in self.reasons if reason.name == name)
        return f"{reason.words}; row {reason.line}" if reason.line else reason.words


_BAD_HERE = Reason("bad-here", "bad lines here for other reasons: statscounter_bad_lines_total", "a:1|c:x|c")
_BOTH = (
    Reason("two-types", "one name with two types: /metrics shows the one that came first"),
    Reason("taken", "a name of the service's own metrics, left out of /metrics"),
    Reason("mapping", "a mapping file here, which gives other names"),
    Reason("relative", "a gauge that is changed by +n and -n starts at 0 on each server, until it is set"),
    Reason("restless", "a gauge that changes faster than both can be read"),
    Reason("quiet", "a gauge that did not change meanwhile: perhaps not sent since the later server started"),
    Reason("lines", "not as many lines came to the one as to the other"),
    Reason("unknown", "no reason that can be seen from outside"),
)

ETSY = Origin(
    "etsy",
    "docs/migrating-from-etsy.md",
    (
        Reason("h-and-d", "types h and d: timers here, counters there", "a:5|h"),
        Reason("names", "another name: odd characters are _ on /metrics, and go there; tags in names", "a,k=v:1|c"),
        Reason("packed", "several values in a line that shows DogStatsD: all count here", "a:1:2:3|ms|#k:v"),
        Reason(
            "bad-there", "bad lines there, or bad parts of lines: sections of DogStatsD, values below 0", "a:1|c|c:ci-x"
        ),
        Reason("unknown-type", "bad lines here: an unknown type, which is a counter there", "a:5|m"),
        Reason("numbers", "bad lines here: values that only JavaScript takes for numbers", "a:0x10|c"),
        Reason("rates", "bad lines here: a sample rate that is not above 0 and at most 1", "a:1|c|@2"),
        _BAD_HERE,
        Reason("negative", "a counter that goes down: a total here never falls, and what would do that is left out"),
        Reason("sampled", "timers with a sample rate: a value weighs 1/rate here; the console there shows it once"),
        Reason("sets", "sets: the console there does not show them"),
        Reason("long-timers", "a timer with more than 100 values in a flush: the console there does not show all"),
        *_BOTH,
    ),
)
EXPORTER = Origin(
    "exporter",
    "docs/migrating-from-statsd_exporter.md",
    (
        Reason("suffix", "_total at the end of a counter's name on one side: --counter-suffix"),
        Reason("names", "another name or other labels: a tag without a value is true here", "a:1|c|#bare"),
        Reason("packed", "counters and gauges with several values: all count here", "a:1:2|c|#k:v"),
        Reason("bad-there", "bad lines there: statsd_exporter_sample_errors_total", "a:1|c|"),
        Reason("numbers", "bad lines here: values that only Go takes for numbers", "a:0x1p4|c"),
        Reason("rates", "bad lines here: a sample rate that is not above 0 and at most 1", "a:1|c|@2"),
        _BAD_HERE,
        Reason("negative", "a counter below 0: left out of the total here, an error there", "a:-1|c"),
        Reason(
            "sampled",
            "timers with a sample rate: a value weighs 1/rate here, and comes several times there",
            "a:5|ms|@0.3",
        ),
        Reason("sets", "sets: gauges here, bad lines there", "a:x|s"),
        *_BOTH,
    ),
)
