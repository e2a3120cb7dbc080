"""Vector's statsd source: etsy's gauges and DogStatsD's tags.

The nearest listener is one for etsy's clients: a sign changes a gauge.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, listed

__all__ = ["ORIGIN"]

ORIGIN: Final = Origin(
    "Vector",
    "vectordotdev/vector: src/sources/statsd/parser.rs",
    listed(
        "etsy",
        (b"foo:1|c", "c foo=1"),
        (
            b"foo/how@ever baz:1|c|#tag1,tag2:value",
            "c foo-however_baz{tag1=,tag2=value}=1",
            "c foo/how@ever baz{tag1=,tag2=value}=1",
            "raw",
        ),
        (b"foo/bar@baz baz:1|c|#tag1,tag2:value", "c foo/bar@baz baz{tag1=,tag2=value}=1"),
        (
            b"foo:1|c|#tag1,tag2:valueA,tag2:valueB,tag3:value,tag3,tag4:",
            "c foo{tag1=,tag2=valueA,tag2=valueB,tag3=value,tag3=,tag4=}=1",
            "c foo{tag1=,tag2=valueB,tag3=}=1",
            "last-tag",
        ),
        (b"bar:2|c|@0.1", "c bar=20"),
        (b"bar:2|c|@0", "c bar=2", "bad", "rate"),
        (b"glork:320|ms|@0.1", "ms glork=320 x10"),
        (
            b"glork:320|h|@0.1|#region:us-west1,production,e:",
            "h glork{e=,production=,region=us-west1}=320 x10",
            "h glork{production=,region=us-west1}=320 x10",
            "bad-tag",
        ),
        (
            b"glork:320|d|@0.1|#region:us-west1,production,e:",
            "d glork{e=,production=,region=us-west1}=320 x10",
            "d glork{production=,region=us-west1}=320 x10",
            "bad-tag",
        ),
        (b"gaugor:333|g", "g gaugor=333"),
        (b"gaugor:-4|g", "g gaugor+=-4"),
        (b"gaugor:+10|g", "g gaugor+=10"),
        (b"uniques:765|s", "s uniques=765"),
        (b"foo/bar/baz:1|c", "c foo-bar-baz=1", "c foo/bar/baz=1", "raw"),
        (b"foo bar  baz:1|c", "c foo_bar_baz=1", "c foo bar  baz=1", "raw"),
        (b"foo. @& bar_$!#.baz:1|c", "c foo.__bar_.baz=1", "c foo. @& bar_$!#.baz=1", "raw"),
    ),
)
