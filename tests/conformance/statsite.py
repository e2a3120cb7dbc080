"""statsite: what its tests send to a running server, and what comes out of it.

The nearest listener is one for etsy's clients: a sign changes a gauge, and there are no tags.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, listed

__all__ = ["ORIGIN"]


def _hundred(line: bytes) -> bytes:
    """Write a line for each number below a hundred."""
    return b"".join(line % number + b"\n" for number in range(100))


ORIGIN: Final = Origin(
    "statsite",
    "statsite/statsite: integ/test_integ.py, test_extended_counters.py, test_timers_include.py",
    listed(
        "etsy",
        (b"tubez:100|kv\n", "kv tubez=100", "bad", "types"),
        (b"this is junk data\n", "bad"),
        (b"foobar10c\n", "bad"),
        (b"foobar:c\n", "bad"),
        (b"int1:1|c\n", "c int1=1"),
        (b"decimal1:1.0|c\n", "c decimal1=1"),
        (b"decimal2:2.3456789|c\n", "c decimal2=2.3456789"),
        (b"scientific1:1.0e5|c\n", "c scientific1=100000"),
        (b"scientific2:2.0e05|c\n", "c scientific2=200000"),
        (b"scientific3:3.0E05|c\n", "c scientific3=300000"),
        (b"scientific4:4.0e-5|c\n", "c scientific4=4e-05"),
        (b"underflow1:1.964393875E-314|c\n", "bad", "c underflow1=1.964393875e-314", "decimal"),
    )
    + listed(
        "etsy",
        (b"g1:1|g\ng1:50|g\n", "g g1=50"),
        (b"gd:+50|g\ngd:+50|g\n", "g gd=100"),
        (b"gd:-50|g\ngd:-50|g\n", "g gd=-100"),
        (b"foobar:100|c\nfoobar:200|c\nfoobar:300|c\n", "c foobar=600"),
        (b"foobar:100|c|@0.1\nfoobar:200|c|@0.1\nfoobar:300|c|@0.1\n", "c foobar=6000"),
        (b"foobar:+100|c\nfoobar:+200|c\nfoobar:-50|c\n", "c foobar=250"),
        (
            (b"foobar10c\nfoobar:10|c\nfoobar:10|c\n", b"foobar:c\nfoobar:10|c\nfoobar:10|c\n"),
            "c foobar=40; bad; bad",
        ),
        ((b"zip:100|c", b"zip:200|c", b"zip:300|c"), "c zip=600"),
        (b"zip:foo|s\nzip:bar|s\nzip:baz|s\n", "s zip has 3"),
        (b"foobar:100|ms\nfoobar:200|ms\nfoobar:300|ms\n", "ms foobar has 3, 600"),
        (_hundred(b"noobs:%d|ms"), "ms noobs has 100, 4950"),
        (_hundred(b"has_hist.test:%d|ms"), "ms has_hist.test has 100, 4950"),
        (_hundred(b"val:%d|h"), "ms val has 100, 4950", "h val has 100, 4950", "unit"),
        (_hundred(b"withrate:%d|ms|@0.5"), "ms withrate has 200, 4950", "ms withrate has 200, 9900", "weight"),
        summed=True,
    ),
)
