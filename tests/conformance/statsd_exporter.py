"""statsd_exporter: the lines of its parser, of its bridge, and those with all styles of tags switched off.

Where its tests expect no event in particular, its outcome is what the parser's source says.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, listed

__all__ = ["ORIGIN"]

_ID = "3a88c225dbeb98f20bbb40cbd39ef90b094ce74291ae66fbd98b7f06f2a15b86"
_PACKED = b":0.5:120:3000:10:20000:0.01|"


def _six(kind: str, series: str, weight: str = "") -> str:
    """Write the six values that many of the lines have."""
    return "; ".join(f"{kind} {series}={value}{weight}" for value in ("0.5", "120", "3000", "10", "20000", "0.01"))


_PLAIN = listed(
    "statsd_exporter",
    (b"", ""),
    (b"foo:2|c", "c foo=2"),
    (b"foo:3|g", "g foo=3"),
    (b"foo:3|g|@0.2", "g foo=3"),
    (b"foo:-10|g", "g foo+=-10"),
    (b"foo:+10|g", "g foo+=10"),
    (b"foo:0|g\nfoo:-1|g", "g foo=0 / g foo+=-1"),
    (b"gaugor:333|g\ngaugor:-10|g\ngaugor:+4|g", "g gaugor=333 / g gaugor+=-10 / g gaugor+=4"),
    (b"foo:200|ms", "ms foo=200"),
    (b"foo:200|h", "h foo=200"),
    (b"foo:200|d", "d foo=200"),
    (b"foo.timing:0.5|ms|@0.1", "ms foo.timing=0.5 x10"),
    (
        b"foo:200|ms:300|ms:5|c|@0.1:6|g\nbar:1|c:5|ms",
        "ms foo=200; ms foo=300; c foo=50; g foo=6 / c bar=1; ms bar=5",
    ),
    (b"foo", "bad"),
    (b"foo:1", "bad"),
    (b"foo:1o|c", "bad"),
    (b"foo:1|c|@bar", "c foo=1", "bad", "rate"),
    (b"foo:2|c|@0", "c foo=2", "bad", "rate"),
    (b"foo:2|t", "bad"),
    (b":100|ms", "bad"),
    (b"foo:1|c|", "bad", "c foo=1", "no-section"),
    (b"invalid\xc3\x28utf8:1|c", "bad"),
    (b"valid_utf8:1|c\ninvalid\xc3\x28utf8:1|c", "c valid_utf8=1 / bad"),
    (b"karafka.consumer.consume.cpu_idle_second:  0.111090  -0.055903  -0.195390 (  2.419002)", "bad"),
    (
        b"|h|#consumer:Kafka::SharedConfigurationConsumer,topic:shared_configuration_update,partition:1",
        "bad",
    ),
)

_TAGS = listed(
    "statsd_exporter",
    (b"foo#tag1=bar,tag2=baz:100|c", "c foo{tag1=bar,tag2=baz}=100"),
    (
        b"foo#09digits=0,tag.with.dots=1:100|c",
        "c foo{_09digits=0,tag_with_dots=1}=100",
        "c foo{09digits=0,tag.with.dots=1}=100",
        "raw",
    ),
    (b"foo,tag1=bar,tag2=baz:100|c", "c foo{tag1=bar,tag2=baz}=100"),
    (
        b"foo,09digits=0,tag.with.dots=1:100|c",
        "c foo{_09digits=0,tag_with_dots=1}=100",
        "c foo{09digits=0,tag.with.dots=1}=100",
        "raw",
    ),
    (b"foo.[tag1=bar,tag2=baz]test:100|c", "c foo.test{tag1=bar,tag2=baz}=100"),
    (b"foo.test[tag1=bar,tag2=baz]:100|c", "c foo.test{tag1=bar,tag2=baz}=100"),
    (b"[tag1=bar,tag2=baz]foo.test:100|c", "c foo.test{tag1=bar,tag2=baz}=100"),
    (b"foo.[]test:100|c", "c foo.test=100", "c foo.[]test=100", "pair"),
    (b"foo.[tag1,tag2]test:100|c", "c foo.test=100", "c foo.[tag1,tag2]test=100", "pair"),
    (b"[tag1=bar,tag2=bazfoo.test:100|c", "c [tag1=bar,tag2=bazfoo.test=100"),
    (b"tag1=bar,tag2=baz]foo.test:100|c", "c tag1=bar,tag2=baz]foo.test=100"),
    (b"metric.name#tagName=val,tag2Name=val2:0|c", "c metric.name{tag2Name=val2,tagName=val}=0"),
    (b"metric.name,tagName=val,tag2Name=val2:0|c", "c metric.name{tag2Name=val2,tagName=val}=0"),
    (b"metric.name:0|c|#tagName:val,tag2Name:val2", "c metric.name{tag2Name=val2,tagName=val}=0"),
    (b"metric.name[tagName=val,tag2Name=val2]:0|c", "c metric.name{tag2Name=val2,tagName=val}=0"),
    (b"foo:100|c|#tag1:bar,tag2:baz", "c foo{tag1=bar,tag2=baz}=100"),
    (b"foo:100|c|#tag1:bar,#tag2:baz", "c foo{tag1=bar,tag2=baz}=100"),
    (
        b"foo:100|c|#09digits:0,tag.with.dots:1",
        "c foo{_09digits=0,tag_with_dots=1}=100",
        "c foo{09digits=0,tag.with.dots=1}=100",
        "raw",
    ),
    (b"foo:100|c|#tag_without_a_value", "c foo=100", "c foo{tag_without_a_value=}=100", "bare-tag"),
    (
        b"foo:100|c|#tag_without_a_value,tag:value",
        "c foo{tag=value}=100",
        "c foo{tag=value,tag_without_a_value=}=100",
        "bare-tag",
    ),
    (b"foo:100|c|#tag:value,,", "c foo{tag=value}=100"),
    (b"foo:100|c|@0.1|#tag1:bar,#tag2:baz", "c foo{tag1=bar,tag2=baz}=1000"),
    (b"foo:0.01|d|@0.2|#tag1:bar,tag2:baz", "d foo{tag1=bar,tag2=baz}=0.01 x5"),
    (b"foo:0.01|d|@0.2|#tag1:bar,#tag2:baz", "d foo{tag1=bar,tag2=baz}=0.01 x5"),
    (b"foo:0.01|h|@0.2|#tag1:bar,#tag2:baz", "h foo{tag1=bar,tag2=baz}=0.01 x5"),
    (b"foo:100|c|@0.1|#tag1:foo:bar", "c foo{tag1=foo:bar}=1000"),
    (b"foo#tag1=foo,tag3=bing:100|c|#tag1:bar,#tag2:baz", "bad"),
    (b"foo[tag1=foo,tag3=bing]:100|c|#tag1:bar,#tag2:baz", "bad"),
    (b"foo,tag1=foo,tag3=bing:100|c|#tag1:bar,#tag2:baz", "bad"),
    (b"foo#tag1=foo,tag3=bing:100|c|@0.1|#tag1:bar,#tag2:baz", "bad"),
    (b"foo:100|c|@0.1|#tag:\xc3\x28invalid", "bad"),
    (b"foo:100|c|@0.1|#tag1:valid,tag2:\xc3\x28invalid", "bad"),
    (b"foo:200|c|#tag:value\nfoo:300|c|#tag:\xc3\x28invalid", "c foo{tag=value}=200 / bad"),
    (b"bar:200|c|#tag:value\nbar:200|c|#tag:\xc3\x28invalid", "c bar{tag=value}=200 / bad"),
)

_PACKED_VALUES = listed(
    "statsd_exporter",
    (b"foo_timing" + _PACKED + b"ms", _six("ms", "foo_timing")),
    (b"foo_timing" + _PACKED + b"ms|@0.5", _six("ms", "foo_timing", " x2")),
    (b"foo_timing" + _PACKED + b"ms|#tag1:bar,tag2:baz", _six("ms", "foo_timing{tag1=bar,tag2=baz}")),
    (b"foo_timing" + _PACKED + b"ms|@0.5|#tag1:bar,tag2:baz", _six("ms", "foo_timing{tag1=bar,tag2=baz}", " x2")),
    (b"foo_histogram" + _PACKED + b"h|#tag1:bar,tag2:baz", _six("h", "foo_histogram{tag1=bar,tag2=baz}")),
    (b"foo_distribution" + _PACKED + b"d|#tag1:bar,tag2:baz", _six("d", "foo_distribution{tag1=bar,tag2=baz}")),
    (b"foo_counter" + _PACKED + b"c|#tag1:bar,tag2:baz", "bad", _six("c", "foo_counter{tag1=bar,tag2=baz}"), "packed"),
    (b"foo_gauge" + _PACKED + b"g|#tag1:bar,tag2:baz", "bad", _six("g", "foo_gauge{tag1=bar,tag2=baz}"), "packed"),
    (b"foo.[tag1=bar,tag2=baz]test" + _PACKED + b"ms", _six("ms", "foo.test{tag1=bar,tag2=baz}")),
    (
        b"foo.[tag1=bar,tag2=baz]test" + _PACKED + b"c",
        "bad",
        "c foo.test{tag1=bar,tag2=baz}=0.01; bad",
        "untyped",
    ),
    (b"foo.[]test" + _PACKED + b"c", "bad", "c foo.[]test=0.01; bad", "untyped"),
    (b"foo.[]test" + _PACKED + b"ms", _six("ms", "foo.test"), _six("ms", "foo.[]test"), "pair"),
    (b"foo.test" + _PACKED + b"ms", _six("ms", "foo.test")),
)

_SECTIONS = listed(
    "statsd_exporter",
    (b"foo:100|c|#tag1:value|c:container123", "c foo{container_id=container123,tag1=value}=100"),
    (b"foo:100|c|#tag1:bar,tag2:baz|c:container456", "c foo{container_id=container456,tag1=bar,tag2=baz}=100"),
    (b"foo:50|g|#tag1:value|c:gauge_container", "g foo{container_id=gauge_container,tag1=value}=50"),
    (b"foo:1000|ms|#tag1:value|c:timer_container", "ms foo{container_id=timer_container,tag1=value}=1000"),
    (b"foo:500|h|#tag1:value|c:hist_container", "h foo{container_id=hist_container,tag1=value}=500"),
    (b"foo:100|c|#tag1:value|c", "bad", "c foo{tag1=value}=100", "section"),
    (b"foo:100|c|#tag1:value|c:", "bad", "c foo{tag1=value}=100", "section"),
    (
        b"foo:100|c|#tag1:value|c:sha256:abcd1234efgh5678",
        "c foo{container_id=sha256:abcd1234efgh5678,tag1=value}=100",
    ),
    (
        b"foo:100|c|@0.1|#service:abc,client:go|c:" + _ID.encode(),
        "c foo{client=go,container_id=" + _ID + ",service=abc}=1000",
    ),
    (b"foo:200|h|@0.5|#env:prod|c:container_hist", "h foo{container_id=container_hist,env=prod}=200 x2"),
    (
        b"foo:100|c|@0.1|#tag1:value|c:container|extra:component",
        "bad",
        "c foo{container_id=container,tag1=value}=1000",
        "section",
    ),
    (b"page.views:15|c|#env:dev|T1656581400", "c page.views{env=dev}=15"),
    (b"temperature:98.6|g|#location:kitchen|T1656581400", "g temperature{location=kitchen}=98.6"),
    (b"foo:42|c|T1656581400", "c foo=42"),
    (
        b"requests:100|c|@0.1|#service:web|c:abc123|T1656581400",
        "c requests{container_id=abc123,service=web}=1000",
    ),
    (b"foo:100|c|#tag:val|Tnot-a-ts", "c foo{tag=val}=100"),
    (b"foo:100|c|#tag:val|T", "c foo{tag=val}=100"),
)

_SWITCHED_OFF = listed(
    "statsd_exporter:tags=",
    (b"foo#tag1=bar,tag2=baz:100|c", "c foo#tag1=bar,tag2=baz=100"),
    (b"foo#09digits=0,tag.with.dots=1:100|c", "c foo#09digits=0,tag.with.dots=1=100"),
    (b"foo,tag1=bar,tag2=baz:100|c", "c foo,tag1=bar,tag2=baz=100"),
    (b"foo.[tag1=bar,tag2=baz]test:100|c", "c foo.[tag1=bar,tag2=baz]test=100"),
    (b"foo.test[tag1=bar,tag2=baz]:100|c", "c foo.test[tag1=bar,tag2=baz]=100"),
    (b"[tag1=bar,tag2=baz]foo.test:100|c", "c [tag1=bar,tag2=baz]foo.test=100"),
    (b"foo.[]test:100|c", "c foo.[]test=100"),
    (b"foo.[tag1,tag2]test:100|c", "c foo.[tag1,tag2]test=100"),
    (b"[tag1=bar,tag2=bazfoo.test:100|c", "c [tag1=bar,tag2=bazfoo.test=100"),
    (b"tag1=bar,tag2=baz]foo.test:100|c", "c tag1=bar,tag2=baz]foo.test=100"),
    (b"foo,09digits=0,tag.with.dots=1:100|c", "c foo,09digits=0,tag.with.dots=1=100"),
    (b"foo:100|c|#tag1:bar,tag2:baz", "c foo=100"),
    (b"foo:100|c|#tag1:bar,#tag2:baz", "c foo=100"),
    (b"foo:100|c|#09digits:0,tag.with.dots:1", "c foo=100"),
    (b"foo:100|c|#tag_without_a_value", "c foo=100"),
    (b"foo:100|c|#tag_without_a_value,tag:value", "c foo=100"),
    (b"foo:100|c|#tag:value,,", "c foo=100"),
    (b"foo:100|c|@0.1|#tag1:bar,#tag2:baz", "c foo=1000"),
    (b"foo_timing" + _PACKED + b"ms|#tag1:bar,tag2:baz", _six("ms", "foo_timing")),
    (b"foo_timing" + _PACKED + b"ms", _six("ms", "foo_timing")),
    (b"foo_timing" + _PACKED + b"ms|@0.5", _six("ms", "foo_timing", " x2")),
    (b"foo_timing" + _PACKED + b"ms|@0.5|#tag1:bar,tag2:baz", _six("ms", "foo_timing", " x2")),
)

ORIGIN: Final = Origin(
    "statsd_exporter",
    "prometheus/statsd_exporter: pkg/line/line_test.go, bridge_test.go, pkg/exporter/exporter_test.go, README.md",
    _PLAIN + _TAGS + _PACKED_VALUES + _SECTIONS + _SWITCHED_OFF,
)
