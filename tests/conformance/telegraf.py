"""Telegraf's input for StatsD: etsy's samples, InfluxDB's tags in names, and DogStatsD's where that is switched on.

The nearest listener is one for etsy's clients: a sign changes a gauge. Counters are whole numbers there, and dots in
names become underscores.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, Row, listed

__all__ = ["ORIGIN"]

_ID = "f76b5a1c03caa192580874b253c158010ade668cf03080a57aa8283919d56e75"
_BEHIND = b"|c:" + _ID.encode()


def _same(outcome: str, *lines: bytes) -> tuple[Row, ...]:
    return tuple((line, outcome) for line in lines)


def _kept(what: str, *lines: bytes) -> tuple[Row, ...]:
    return tuple((line, f"{what} kept", what, "event") for line in lines)


def _dotted(line: bytes, meaning: str) -> Row:
    """Return a case in which dots became underscores."""
    kind, _, rest = meaning.partition(" ")
    name, sign, value = rest.partition("+=" if "+=" in rest else "=")
    return line, f"{kind} {name.replace('.', '_')}{sign}{value}", meaning, "raw"


def _dotted_sum(name: str, kind: str, values: str, total: str) -> Row:
    """Return the case of values of one name with dots, and what they add up to."""
    sent = b"\n".join(f"{name}:{value}|{kind}".encode() for value in values.split())
    return sent, f"{kind} {name.replace('.', '_')}{total}", f"{kind} {name}{total}", "raw"


_LINES = listed(
    "etsy",
    (b"valid:45|c", "c valid=45"),
    (b"valid:45|s", "s valid=45"),
    (b"valid:45|g", "g valid=45"),
    _dotted(b"valid.timer:45|ms", "ms valid.timer=45"),
    _dotted(b"valid.timer:45|h", "h valid.timer=45"),
    _dotted(b"plus.minus:-10|g", "g plus.minus+=-10"),
    _dotted(b"plus.minus:+30|g", "g plus.minus+=30"),
    _dotted(b"scientific.notation:4.696E+5|g", "g scientific.notation=469600"),
    _dotted(b"scientific.notation.minus:4.7E-5|g", "g scientific.notation.minus=4.7e-05"),
    _dotted(b"scientific.notation.sets:4.696E+5|s", "s scientific.notation.sets=4.696E+5"),
    _dotted(b"string.sets:foobar|s", "s string.sets=foobar"),
    _dotted(b"zero.init:0|c", "c zero.init=0"),
    _dotted(b"sample.rate:1|c|@0.1", "c sample.rate=10"),
    _dotted(b"scientific.notation:4.696E+5|c", "c scientific.notation=469600"),
    _dotted(b"negative.test:-5|c", "c negative.test=-5"),
    _dotted(b"scientific.notation:4.6968460083008E-5|ms", "ms scientific.notation=4.696846008e-05"),
    _dotted(b"scientific.notation:4.6968460083008E-5|g", "g scientific.notation=4.696846008e-05"),
    _dotted(b"scientific.notation:4.6968460083008E-5|h", "h scientific.notation=4.696846008e-05"),
    (
        b"scientific.notation:4.6968460083008E-5|c",
        "c scientific_notation=0",
        "c scientific.notation=4.696846008e-05",
        "decimal",
    ),
    _dotted(b"test.distribution:1|d", "d test.distribution=1"),
    *_same(
        "bad",
        b"i.dont.have.a.pipe:45g",
        b"i.dont.have.a.colon45|c",
        b"invalid.metric.type:45|e",
        b"invalid.value:foobar|c",
        b"invalid.value:d11|c",
        b"invalid.value:1d1|c",
        b"test.service.stat.missing_value:|h",
    ),
    (b"invalid.plus.minus.non.gauge:+10|s", "bad", "s invalid.plus.minus.non.gauge=+10", "member"),
    (b"invalid.plus.minus.non.gauge:+10|ms", "bad", "ms invalid.plus.minus.non.gauge=10", "decimal"),
    (b"invalid.plus.minus.non.gauge:+10|h", "bad", "h invalid.plus.minus.non.gauge=10", "decimal"),
    (b"invalid.sample.rate:45|c|0.1", "c invalid_sample_rate=45", "bad", "mistake"),
    (b"invalid.sample.rate.2:45|c|@foo", "c invalid_sample_rate_2=45", "bad", "rate"),
    _dotted(b"invalid.sample.rate:45|g|@0.1", "g invalid.sample.rate=45"),
    _dotted(b"invalid.sample.rate:45|s|@0.1", "s invalid.sample.rate=45"),
    (b"valid:1|c", "c valid=1"),
    _dotted(b"valid.foo-bar:11|c", "c valid.foo-bar=11"),
    (b"foobar:1|c", "c foobar=1"),
    _dotted(b"foo.bar:1|c", "c foo.bar=1"),
    _dotted(b"foo.bar-baz:1|c", "c foo.bar-baz=1"),
    _dotted(b"cpu.time_idle:42|c\n", "c cpu.time_idle=42"),
    (b"timing:100|ms", "ms timing=100"),
    _dotted(b"current.users:100|g", "g current.users=100"),
    _dotted(b"unique.user.ids:100|s", "s unique.user.ids=100"),
    _dotted(b"total.users:100|c", "c total.users=100"),
    (b"regex.ARP flood stats:1|c", "c regex_ARP_flood_stats=1", "c regex.ARP flood stats=1", "raw"),
    (b"regex./dev/null:1|c", "c regex_-dev-null=1", "c regex./dev/null=1", "raw"),
    (b"regex.wow!!!:1|c", "c regex_wow=1", "c regex.wow!!!=1", "raw"),
    (b"regex.all*things:1|c", "c regex_allthings=1", "c regex.all*things=1", "raw"),
    _dotted(b"valid.multiple:0|ms|@0.1", "ms valid.multiple=0 x10"),
    _dotted(b"valid.multiple:0|ms|", "ms valid.multiple=0"),
    (
        b"valid.multiple:0|ms|@0.1:0|ms|:1|ms",
        "ms valid_multiple=0 x10; ms valid_multiple=0; ms valid_multiple=1",
        "bad",
        "mistake",
    ),
    (
        b"valid.multiple.duplicate:1|c:1|c:2|c:1|c",
        "; ".join(f"c valid_multiple_duplicate={value}" for value in (1, 1, 2, 1)),
        "; ".join(f"c valid.multiple.duplicate={value}" for value in (1, 1, 2, 1)),
        "raw",
    ),
    (
        b"valid.multiple.duplicate:1|h:1|h:2|h:1|h",
        "; ".join(f"h valid_multiple_duplicate={value}" for value in (1, 1, 2, 1)),
        "; ".join(f"h valid.multiple.duplicate={value}" for value in (1, 1, 2, 1)),
        "raw",
    ),
    (
        b"valid.multiple.duplicate:1|g:1|g:2|g:1|g",
        "; ".join(f"g valid_multiple_duplicate={value}" for value in (1, 1, 2, 1)),
        "; ".join(f"g valid.multiple.duplicate={value}" for value in (1, 1, 2, 1)),
        "raw",
    ),
    (
        b"valid.multiple.duplicate:1|s:1|s:2|s:1|s",
        "; ".join(f"s valid_multiple_duplicate={value}" for value in (1, 1, 2, 1)),
        "; ".join(f"s valid.multiple.duplicate={value}" for value in (1, 1, 2, 1)),
        "raw",
    ),
    (
        b"valid.multiple.mixed:1|c:1|ms:2|s:1|g",
        "c valid_multiple_mixed=1; ms valid_multiple_mixed=1; s valid_multiple_mixed=2; g valid_multiple_mixed=1",
        "c valid.multiple.mixed=1; ms valid.multiple.mixed=1; s valid.multiple.mixed=2; g valid.multiple.mixed=1",
        "raw",
    ),
)

_TAGS = listed(
    "etsy",
    _dotted(b"cpu.idle,host=localhost:1|c", "c cpu.idle{host=localhost}=1"),
    _dotted(b"cpu.idle,host=localhost,region=west:1|c", "c cpu.idle{host=localhost,region=west}=1"),
    _dotted(b"cpu.idle,host=localhost,color=red,region=west:1|c", "c cpu.idle{color=red,host=localhost,region=west}=1"),
    _dotted(b"test.counter,host=localhost:1|c", "c test.counter{host=localhost}=1"),
    _dotted(b"test.counter,host=localhost,region=west:1|c", "c test.counter{host=localhost,region=west}=1"),
    (
        b"my_counter:1|c|#host:localhost,environment:prod,endpoint:/:tenant?/oauth/ro",
        "c my_counter{endpoint=/:tenant?/oauth/ro,environment=prod,host=localhost}=1",
    ),
    (b"my_gauge:10.1|g|#live", "g my_gauge{live=true}=10.1", "g my_gauge{live=}=10.1", "bare-tag"),
    (b"my_set:1|s|#host:localhost", "s my_set{host=localhost}=1"),
    (
        b"my_timer:3|ms|@0.1|#live,host:localhost",
        "ms my_timer{host=localhost,live=true}=3 x10",
        "ms my_timer{host=localhost,live=}=3 x10",
        "bare-tag",
    ),
    (b"cpu:42|c|#", "c cpu=42"),
    (
        b"cpu:42|c|#live,host:localhost" + _BEHIND,
        "c cpu{host=localhost,live=true}=42",
        "c cpu{host=localhost,live=}=42",
        "bare-tag",
    ),
) + listed(
    "etsy:container=1",
    (
        b"my_counter:1|c|#host:localhost,endpoint:/:tenant?/oauth/ro" + _BEHIND,
        f"c my_counter{{container={_ID},endpoint=/:tenant?/oauth/ro,host=localhost}}=1",
        f"c my_counter{{container_id={_ID},endpoint=/:tenant?/oauth/ro,host=localhost}}=1",
        "container",
    ),
    (
        b"my_gauge:10.1|g|#live" + _BEHIND,
        f"g my_gauge{{container={_ID},live=true}}=10.1",
        f"g my_gauge{{container_id={_ID},live=}}=10.1",
        "container",
    ),
    (
        b"my_set:1|s|#host:localhost" + _BEHIND,
        f"s my_set{{container={_ID},host=localhost}}=1",
        f"s my_set{{container_id={_ID},host=localhost}}=1",
        "container",
    ),
    (
        b"my_timer:3|ms|@0.1|#live,host:localhost" + _BEHIND,
        f"ms my_timer{{container={_ID},host=localhost,live=true}}=3 x10",
        f"ms my_timer{{container_id={_ID},host=localhost,live=}}=3 x10",
        "container",
    ),
    (b"cpu:42|c|#" + _BEHIND, f"c cpu{{container={_ID}}}=42", f"c cpu{{container_id={_ID}}}=42", "container"),
)

_SUMS = listed(
    "etsy",
    _dotted_sum("plus.minus", "g", "100 -10 +30", "=120"),
    _dotted_sum("plus.plus", "g", "100 +100 +100", "=300"),
    _dotted_sum("minus.minus", "g", "100 -100 -100", "=-100"),
    _dotted_sum("lone.plus", "g", "+100", "=100"),
    _dotted_sum("lone.minus", "g", "-100", "=-100"),
    (b"overwrite:100|g\noverwrite:300|g", "g overwrite=300"),
    _dotted_sum("unique.user.ids", "s", "100 100 100 100 100 101 102 102 123456789", " has 4"),
    _dotted_sum("oneuser.id", "s", "100 100", " has 1"),
    _dotted_sum("scientific.notation.sets", "s", "4.696E+5 4.696E+5 4.697E+5", " has 2"),
    _dotted_sum("string.sets", "s", "foobar foobar bar", " has 2"),
    _dotted_sum("small.inc", "c", "1 1", "=2"),
    _dotted_sum("big.inc", "c", "100 1 100000 1000000", "=1100101"),
    _dotted_sum("negative.test", "c", "100 -5", "=95"),
    (b"sample.rate:1|c|@0.1\nsample.rate:1|c", "c sample_rate=11", "c sample.rate=11", "raw"),
    _dotted_sum("test.timing", "ms", "1 11 1 1 1", " has 5, 15"),
    _dotted_sum("test_timing.success", "ms", "1 11 1 1 1", " has 5, 15"),
    _dotted_sum("test_timing.error", "ms", "2 22 2 2 2", " has 5, 30"),
    (b"valid:45|c\nvalid:45|c", "c valid=90"),
    _dotted_sum("my.counter.f3", "c", "10 100", "=110"),
    summed=True,
)

_SPECIAL = listed(
    "etsy",
    *_kept(
        "service check",
        b"_sc|my.service.check|0",
        b"_sc|jmxfetch-config.can_connect|1",
        b"_sc|disk.check|2",
        b"_sc|network.check|3",
        b"_sc|my.check|0|m:Service is healthy",
        b"_sc|my.check|0|h:custom-host",
        b"_sc|my.check|0|#env:prod,service:web",
        b"_sc|my.check|2|d:1234567890|h:myhost|#env:test,region:us-west|m:Connection failed",
        b"_sc|my.check|1|m:Line1\\nLine2",
        b"_sc|my.check|0|#host:taghost",
    ),
    *_same("bad", b"_sc|my.check", b"_sc||0", b"_sc|my.check|abc", b"_sc|my.check|4", b"_sc|my.check|-1"),
    *_kept(
        "event",
        b"_e{10,9}:test title|test text",
        b"_e{10,24}:test title|test\\line1\\nline2\\nline3",
        b"_e{10,24}:test|title|test\\line1\\nline2\\nline3",
        b"_e{10,9}:test title|test text|d:21",
        b"_e{10,9}:test title|test text|p:low",
        b"_e{10,9}:test title|test text|h:localhost",
        b"_e{10,9}:test title|test text|#host:localhost",
        b"_e{10,9}:test title|test text|#host:,other:tag",
        b"_e{10,9}:test title|test text|t:warning",
        b"_e{10,9}:test title|test text|k:some aggregation key",
        b"_e{10,9}:test title|test text|s:this is the source",
        b"_e{10,9}:test title|test text|t:warning|d:12345|p:low|h:some.host|k:aggKey|s:source test|#tag1,tag2:test",
        b"_e{5,4}:title|text|d:abc",
        b"_e{5,4}:title|text|p:urgent",
        b"_e{5,4}:title|text|t:test",
    ),
    (b"_e{5,4}:title|text|x:1234", "bad", "event", "event"),
    (b"_e{10,10}:title|text", "bad", "event", "length"),
    (b"_e{0,0}:a|a", "bad", "event", "length"),
    *_same(
        "bad",
        b"_e:title|text",
        b"_e{5555:title|text",
        b"_e{a,1}:title|text",
        b"_e{1,a}:title|text",
        b"_e{5,}:title|text",
        b"_e{100,:title|text",
        b"_e,100:title|text",
        b"_e{,4}:title|text",
        b"_e{}:title|text",
        b"_e{,}:title|text",
        b"_e{-5,5}:title|text",
        b"_e{0,-5}:title|text",
        b"_e|text",
        b"_e:|text",
    ),
)

ORIGIN: Final = Origin(
    "Telegraf",
    "influxdata/telegraf: plugins/inputs/statsd: statsd_test.go, datadog_test.go",
    _LINES + _TAGS + _SUMS + _SPECIAL,
)
