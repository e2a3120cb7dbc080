"""brubeck: a bucket is read up to its colon, and a value up to its bar.

The nearest listener is one for etsy's clients: a sign changes a gauge, and there are no tags.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, listed

__all__ = ["ORIGIN"]

ORIGIN: Final = Origin(
    "brubeck",
    "github/brubeck: tests/statsd_msg.c",
    listed(
        "etsy",
        (b"github.auth.fingerprint.sha1:1|c", "c github.auth.fingerprint.sha1=1"),
        (b"github.auth.fingerprint.sha1:1|c|@0.1", "c github.auth.fingerprint.sha1=10"),
        (b"github.auth.fingerprint.sha1:1|g", "g github.auth.fingerprint.sha1=1"),
        (b"lol:1|ms", "ms lol=1"),
        (b"this.is.sparta:199812|C", "c this.is.sparta=199812", "bad", "types"),
        (b"this.is.sparta:0012|h", "h this.is.sparta=12"),
        (b"this.is.sparta:23.23|g", "g this.is.sparta=23.23"),
        (b"this.is.sparta:0.232030|g", "g this.is.sparta=0.23203"),
        (b"this.are.some.floats:1234567.89|g", "g this.are.some.floats=1234567.89"),
        (b"this.are.some.floats:1234567.89|g|@0.025", "g this.are.some.floats=1234567.89"),
        (b"this.are.some.floats:1234567.89|g|@0.25", "g this.are.some.floats=1234567.89"),
        (b"this.are.some.floats:1234567.89|g|@0.01", "g this.are.some.floats=1234567.89"),
        (b"this.are.some.floats:1234567.89|g|@000.0100", "g this.are.some.floats=1234567.89"),
        (b"this.are.some.floats:1234567.89|g|@1.0", "g this.are.some.floats=1234567.89"),
        (b"this.are.some.floats:1234567.89|g|@1", "g this.are.some.floats=1234567.89"),
        (b"this.are.some.floats:1234567.89|g|@1.", "g this.are.some.floats=1234567.89"),
        (b"this.are.some.floats:|g", "g this.are.some.floats=0", "bad", "no-value"),
        (b"gauge.increment:+1|g", "g gauge.increment+=1"),
        (b"gauge.decrement:-1|g", "g gauge.decrement+=-1"),
        (b"this.are.some.floats:12.89.23|g", "bad"),
        (b"this.are.some.floats:12.89|a", "bad"),
        (b"this.are.some.floats:12.89|msdos", "bad"),
        (b"this.are.some.floats:12.89g|g", "bad"),
        (b"this.are.some.floats:12.89|", "bad"),
        (b"this.are.some.floats:12.89", "bad"),
        (b"this.are.some.floats:12.89 |g", "bad", "g this.are.some.floats=12.89", "blanks"),
        (b"this.are.some.floats|g", "bad"),
        (b"this.are.some.floats:1.0|g|1.0", "bad"),
        (b"this.are.some.floats:1.0|g|0.1", "bad"),
        (b"this.are.some.floats:1.0|g|@0.1.1", "bad"),
        (b"this.are.some.floats:1.0|g|@0.1@", "bad"),
        (b"this.are.some.floats:1.0|g|@0.1125.2", "bad"),
        (b"this.are.some.floats:1.0|g|@1.23", "bad"),
        (b"this.are.some.floats:1.0|g|@3.0", "bad"),
        (b"this.are.some.floats:1.0|g|@-3.0", "bad"),
        (b"this.are.some.floats:1.0|g|@-1.0", "bad"),
        (b"this.are.some.floats:1.0|g|@-0.23", "bad"),
        (b"this.are.some.floats:1.0|g|@0.0", "bad"),
        (b"this.are.some.floats:1.0|g|@0", "bad"),
    ),
)
