"""OpenTelemetry's collector: the receiver for StatsD, which has DogStatsD's tags and etsy's signs.

The listener is one for DogStatsD's clients, which its users mostly have; a sign is then part of the value.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, Row, listed

__all__ = ["ORIGIN"]


def _tagged(*lines: bytes) -> bytes:
    """Write lines with the tag that most of the receiver's tests have."""
    return b"\n".join(line + b"|#mykey:myvalue" for line in lines)


def _observed(kind: str, values: str, total: str) -> Row:
    """Return the case of values of one name, and what they add up to."""
    lines = [f"expohisto:{value}|{kind}".encode() for value in values.split()]
    return _tagged(*lines), f"{'ms' if kind == 'ms' else 'h'} expohisto{{mykey=myvalue}} has {total}"


_ONE = "statsdTestMetric1{mykey=myvalue}"
_TWO = "statsdTestMetric2{mykey=myvalue}"

_MESSAGES = listed(
    "dogstatsd",
    (b"test.metric|c", "bad"),
    (b":42|c", "bad"),
    (b"test.metric:|c", "bad"),
    (b"test.metric:42|c|@1.0a", "bad"),
    (b"test.metric:42|c|#:val1", "bad", "c test.metric=42", "bad-tag"),
    (b"test.metric:42|c|$extra", "bad"),
    (b"test.metric:42|c|#", "c test.metric=42"),
    (b"test.metric:42|c|#,,,", "c test.metric=42"),
    (
        b"test.metric:42|c|#,,layer:gateway,component:scoring",
        "c test.metric{component=scoring,layer=gateway}=42",
    ),
    (b"test.metric:42|c", "c test.metric=42"),
    (b"test.metric:42.abc|c", "bad"),
    (b"test.metric:42|unhandled_type", "bad"),
    (b"test.metric:42|c|@0.1|#key:value", "c test.metric{key=value}=420"),
    (
        b"test.metric:42|c|#key:value|c:abc123",
        "c test.metric{container.id=abc123,key=value}=42",
        "c test.metric{key=value}=42",
        "container",
    ),
    (b"test.metric:42|c|T1656581400", "c test.metric=42 at 1656581400", "c test.metric=42", "timestamp"),
    (b"test.metric:42|c|@0.8|#key:value", "c test.metric{key=value}=52.5"),
    (b"test.metric:42|c|@0.8|#key:value,key2:value2", "c test.metric{key=value,key2=value2}=52.5"),
    (b"test.metric:42.0|g", "g test.metric=42"),
    (b"test.metric:42|g", "g test.metric=42"),
    (b"test.metric:42.abc|g", "bad"),
    (b"test.metric:11|g|@0.1|#key:value", "g test.metric{key=value}=11"),
    (b"test.metric:11|g|@0.8|#key:value,key2:value2", "g test.metric{key=value,key2=value2}=11"),
    (b"test.metric:11|g|T1656581400", "g test.metric=11 at 1656581400", "g test.metric=11", "timestamp"),
    (b"test.metric:+42.0|g", "g test.metric+=42", "g test.metric=42", "sign"),
    (b"test.metric:-42.0|g", "g test.metric+=-42", "g test.metric=-42", "sign"),
    (b"test.metric:+42|g", "g test.metric+=42", "g test.metric=42", "sign"),
    (b"test.metric:-42|g", "g test.metric+=-42", "g test.metric=-42", "sign"),
    (b"test.metric:42.abc|h", "bad"),
    (b"test.metric:42|h|T1656581400", "bad", "h test.metric=42", "timestamp"),
    (b"test.metric:-42|ms", "ms test.metric=-42"),
    (b"test.metric:42|h", "h test.metric=42"),
    (b"test.metric:42|d", "d test.metric=42"),
    (b"test.metric:42|c|@0.1|#key", "c test.metric{key=}=420"),
    (b"test.metric:42|c|@0.1|#key,key2", "c test.metric{key=,key2=}=420"),
    (b"test.counter:NaN|c", "bad"),
    (b"test.gauge:+Inf|g", "bad"),
    (b"test.timer:-Inf|ms", "bad"),
    (b"test.histogram:NaN|h", "bad"),
    (b"test.valid:42.5|g", "g test.valid=42.5"),
    (b"test.metric:1|c", "c test.metric=1"),
    (b"test.metric:2|g", "g test.metric=2"),
    (b"H:10|h", "h H=10"),
    (b"T:10|ms", "ms T=10"),
)

_ADDED_UP = listed(
    "dogstatsd",
    (
        _tagged(
            b"statsdTestMetric1:1|g",
            b"statsdTestMetric2:2|g",
            b"statsdTestMetric1:+1|g",
            b"statsdTestMetric1:+100|g",
            b"statsdTestMetric1:+10000|g",
            b"statsdTestMetric2:+5|g",
            b"statsdTestMetric2:+500|g",
        ),
        f"g {_ONE}=10102; g {_TWO}=507",
        f"g {_ONE}=10000; g {_TWO}=500",
        "sign",
    ),
    (
        _tagged(
            b"statsdTestMetric1:5000|g",
            b"statsdTestMetric2:10|g",
            b"statsdTestMetric1:-1|g",
            b"statsdTestMetric2:-5|g",
            b"statsdTestMetric1:-1|g",
            b"statsdTestMetric1:-1|g",
            b"statsdTestMetric1:-10|g",
            b"statsdTestMetric1:-1|g",
            b"statsdTestMetric1:-100|g",
            b"statsdTestMetric1:-1|g",
        ),
        f"g {_ONE}=4885; g {_TWO}=5",
        f"g {_ONE}=-1; g {_TWO}=-5",
        "sign",
    ),
    (
        _tagged(
            b"statsdTestMetric1:5000|g",
            b"statsdTestMetric1:4000|g",
            b"statsdTestMetric1:+500|g",
            b"statsdTestMetric1:-400|g",
            b"statsdTestMetric1:+2|g",
            b"statsdTestMetric1:-1|g",
            b"statsdTestMetric2:365|g",
            b"statsdTestMetric2:+300|g",
            b"statsdTestMetric2:-200|g",
            b"statsdTestMetric2:200|g",
        ),
        f"g {_ONE}=4101; g {_TWO}=200",
        f"g {_ONE}=-1; g {_TWO}=200",
        "sign",
    ),
    (
        _tagged(
            b"statsdTestMetric1:3000|c",
            b"statsdTestMetric1:4000|c",
            b"statsdTestMetric2:20|c|@0.8",
            b"statsdTestMetric2:20|c|@0.8",
        ),
        f"c {_ONE}=7000; c {_TWO}=50",
    ),
    (
        _tagged(
            b"statsdTestMetric1:3000|c",
            b"statsdTestMetric1:500|g",
            b"statsdTestMetric1:400|g",
            b"statsdTestMetric1:+20|g",
            b"statsdTestMetric1:4000|c",
            b"statsdTestMetric1:-1|g",
            b"statsdTestMetric2:20|c|@0.8",
            b"statsdTestMetric1:+2|g",
            b"statsdTestMetric2:20|c|@0.8",
        ),
        f"c {_ONE}=7000; c {_TWO}=50; g {_ONE}=421",
        f"c {_ONE}=7000; c {_TWO}=50; g {_ONE}=2",
        "sign",
    ),
    (
        b"statsdTestMetric1:400|g|#mykey:myvalue1\nstatsdTestMetric1:-1|g|#mykey:myvalue1\n"
        + _tagged(
            b"statsdTestMetric1:500|g",
            b"statsdTestMetric1:300|g",
            b"statsdTestMetric1:+20|g",
            b"statsdTestMetric1:-1|g",
            b"statsdTestMetric1:20|c|@0.1",
            b"statsdTestMetric2:50|c",
            b"statsdTestMetric1:15|c",
            b"statsdTestMetric2:5|c|@0.2",
        ),
        f"c {_ONE}=215; c {_TWO}=75; g {_ONE}=319; g statsdTestMetric1{{mykey=myvalue1}}=399",
        f"c {_ONE}=215; c {_TWO}=75; g {_ONE}=-1; g statsdTestMetric1{{mykey=myvalue1}}=-1",
        "sign",
    ),
    (
        _tagged(
            b"statsdTestMetric1:1|ms",
            b"statsdTestMetric2:2|ms",
            b"statsdTestMetric1:1|ms",
            b"statsdTestMetric1:10|ms",
            b"statsdTestMetric1:20|ms",
            b"statsdTestMetric2:5|ms",
            b"statsdTestMetric2:10|ms",
            b"statsdTestMetric1:20|ms",
        ),
        f"ms {_ONE} has 5, 52; ms {_TWO} has 3, 17",
    ),
    (
        _tagged(
            b"statsdTestMetric1:1|h",
            b"statsdTestMetric2:2|h",
            b"statsdTestMetric1:1|h",
            b"statsdTestMetric1:10|h",
            b"statsdTestMetric1:20|h",
            b"statsdTestMetric2:5|h",
            b"statsdTestMetric2:10|h",
        ),
        f"h {_ONE} has 4, 32; h {_TWO} has 3, 17",
    ),
    (
        _tagged(
            b"statsdTestMetric1:1|d",
            b"statsdTestMetric2:2|d",
            b"statsdTestMetric1:1|d",
            b"statsdTestMetric1:10|d",
            b"statsdTestMetric1:20|d",
            b"statsdTestMetric2:5|d",
            b"statsdTestMetric2:10|d",
        ),
        f"h {_ONE} has 4, 32; h {_TWO} has 3, 17",
    ),
    (
        _tagged(
            b"statsdTestMetric1:300|h|@0.1",
            b"statsdTestMetric1:100|h|@0.05",
            b"statsdTestMetric1:300|h|@0.1",
            b"statsdTestMetric1:200|h|@0.01",
        ),
        f"h {_ONE} has 140, 28000",
    ),
    _observed("ms", "0 1.5 2.5 4.5 8.5 16.5 32.5 64.5 128.5 256.5 512.5", "11, 1028"),
    _observed("ms", "-0 -1.5 -2.5 -4.5 -8.5 -16.5 -32.5 -64.5 -128.5 -256.5 -512.5", "11, -1028"),
    _observed("ms", "1.5 4.5 16.5 64.5 512.5", "5, 599.5"),
    _observed("h", "1 0 -1", "3, 0"),
    _observed("h", "0 0 0 0", "4, 0"),
    _observed("d", "1 0 -1", "3, 0"),
    (
        _tagged(b"expohisto:1|h|@0.125", b"expohisto:0|h|@0.25", b"expohisto:-1|h|@0.5"),
        "h expohisto{mykey=myvalue} has 14, 6",
    ),
    (b"foo:0.1|h\nfoo:0.3|h\nfoo:0.6|h", "h foo has 3, 1"),
    (b"foo.bar:0.1|h\nfoo.bar:0.3|h", "h foo.bar has 2, 0.4"),
    (b"foo.bar:0.1|h\nfoo.bar:0.3|h\nfoo.bar:3|h", "h foo.bar has 3, 3.4"),
    (b"fox.bar.baz:1|h\nfox.bar.baz:3|h\nfox.bar.baz:30|h", "h fox.bar.baz has 3, 34"),
    (b"test.metric:1|c\ntest.metric:3|c", "c test.metric=4"),
    summed=True,
)

ORIGIN: Final = Origin(
    "OpenTelemetry collector",
    "open-telemetry/opentelemetry-collector-contrib: receiver/statsdreceiver/internal/parser/statsd_parser_test.go",
    _MESSAGES + _ADDED_UP,
)
