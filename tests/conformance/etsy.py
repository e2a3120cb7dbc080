"""etsy's statsd: what its tests call a valid packet, and what they send to a running server."""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, listed

__all__ = ["ORIGIN"]

ORIGIN: Final = Origin(
    "etsy/statsd",
    "statsd/statsd: test/helpers_tests.js, graphite_tests.js, set_tests.js",
    listed(
        "etsy",
        (b"a:foo", "bad"),
        (b"a:0,345345|ms", "bad"),
        (b"a:345345|ms|0,456456", "bad"),
        (b"a:|c", "bad"),
        (b"a:+10e1|c", "c a=100"),
        (b"a:+10|c", "c a=10"),
        (b"a:-10|c", "c a=-10"),
        (b"a:-1|ms", "bad", "ms a=-1", "decimal"),
        (b"a:-1.0|ms", "bad", "ms a=-1", "decimal"),
        (b"a:+1|ms", "ms a=1"),
        (b"a:1.0|ms", "ms a=1"),
        (b"a:+1.0|ms", "ms a=1"),
        (b"a:+0.0|ms", "ms a=0"),
        (b"a:-0.0|ms", "ms a=0"),
        (b"a:0.0|ms", "ms a=0"),
        (b"a:0|ms", "ms a=0"),
        (b"a:|g", "bad"),
        (b"a:10|g", "g a=10"),
        (b"a:+10|g", "g a+=10"),
        (b"a:10.0|g", "g a=10"),
        (b"a:+10.0|g", "g a+=10"),
        (b"a:-10|g", "g a+=-10"),
        (b"a:-10.0|g", "g a+=-10"),
        (b"a:foo|s", "s a=foo"),
        (b"a:123456|s", "s a=123456"),
        (b"a:345345|ms|", "bad", "ms a=345345", "no-section"),
        (b"a:345345|ms|b", "bad", "ms a=345345", "section"),
        (b"a:345345|ms|blah", "bad", "ms a=345345", "section"),
        (b"a:345345|ms|@", "bad"),
        (b"a:345345|ms|@blah", "bad"),
        (b"a:345345|ms|@.", "bad"),
        (b"a:345345|ms|@.1.", "bad"),
        (b"a:345345|ms|@.1.2.3", "bad"),
        (b"a:345345|ms|@-1.0", "bad"),
        (b"a:345345|ms|@2", "ms a=345345 x0.5", "bad", "rate"),
        (b"a:345345|ms|@.2", "ms a=345345 x5"),
        (b"a:345345|ms|@0.2", "ms a=345345 x5"),
        (b"a:345345|ms|@2e-1", "ms a=345345 x0.5", "ms a=345345 x5", "rate"),
        (b"a:345345|ms|@1.0", "ms a=345345"),
        (b"a:100|ms|@0.1", "ms a=100 x10"),
        (b"a:1.0|c|@0.1", "c a=10"),
        (b"a_test_value:100|ms", "ms a_test_value=100"),
        (b"a_test_value:100|ms|@0.1", "ms a_test_value=100 x10"),
        (b"a_test_value:100|c", "c a_test_value=100"),
        (b"a_test_value:70|g", "g a_test_value=70"),
        (b"fo/o:250|c", "c fo-o=250", "c fo/o=250", "raw"),
        (b"b ar:250|c", "c b_ar=250", "c b ar=250", "raw"),
        (b"foo+bar:250|c", "c foobar=250", "c foo+bar=250", "raw"),
        (b"fo/o;tag1=val1:250|c", "c fo-o{tag1=val1}=250", "c fo/o{tag1=val1}=250", "raw"),
        (
            b"b ar;tag1=val1;tag2=val2:250|c",
            "c b_ar{tag1=val1,tag2=val2}=250",
            "c b ar{tag1=val1,tag2=val2}=250",
            "raw",
        ),
        (
            b"foo+bar;tag1=val1;tag3=val3;tag2=val2:250|c",
            "c foobar{tag1=val1,tag2=val2,tag3=val3}=250",
            "c foo+bar{tag1=val1,tag2=val2,tag3=val3}=250",
            "raw",
        ),
        (b"fo/o:250|c|#tag1:val1", "c fo-o{tag1=val1}=250", "c fo/o{tag1=val1}=250", "raw"),
        (
            b"b ar:250|c|#tag1:val1,tag2:val2",
            "c b_ar{tag1=val1,tag2=val2}=250",
            "c b ar{tag1=val1,tag2=val2}=250",
            "raw",
        ),
        (
            b"foo+bar:250|c|#tag1:val;1,tag3:val3,tag2:val2",
            "c foobar{tag1=val_1,tag2=val2,tag3=val3}=250",
            "c foo+bar{tag1=val;1,tag2=val2,tag3=val3}=250",
            "raw",
        ),
    )
    + listed(
        "etsy",
        ((b"test_value:50|g", b"test_value:-3|g"), "g test_value=47"),
        ((b"u:a|s", b"u:b|s"), "s u has 2"),
        ((b"u:a|s", b"u:a|s", b"u:b|s"), "s u has 2"),
        summed=True,
    ),
)
