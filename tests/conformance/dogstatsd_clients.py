"""Datadog's own clients: the lines that their tests say they send. Their outcome is what the agent makes of them."""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, Row, listed

__all__ = ["ORIGIN"]


def _kept(what: str, *lines: bytes) -> tuple[Row, ...]:
    return tuple((line, f"{what} kept", what, "event") for line in lines)


_BEHIND = (
    b"|#tag:tag",
    b"|#tag:tag|c:container-id",
    b"|#tag:tag|c:container-id|e:external-env",
    b"|#tag:tag|c:container-id|e:external-env|card:low",
)
"""What the client for Go writes behind a type, one more for each version of the protocol."""


def _behind(line: bytes, outcome: str) -> tuple[Row, ...]:
    return tuple((line + behind + b"\n", outcome) for behind in _BEHIND)


_GO = listed(
    "dogstatsd",
    (b"namespace.gauge:1|g|#global:tag,tag:tag", "g namespace.gauge{global=tag,tag=tag}=1"),
    (b"namespace.count:2|c|#global:tag,tag:tag", "c namespace.count{global=tag,tag=tag}=2"),
    (b"namespace.histogram:3|h|#global:tag,tag:tag", "h namespace.histogram{global=tag,tag=tag}=3"),
    (b"namespace.distribution:4|d|#global:tag,tag:tag", "d namespace.distribution{global=tag,tag=tag}=4"),
    (b"namespace.set:five|s|#global:tag,tag:tag", "s namespace.set{global=tag,tag=tag}=five"),
    (b"namespace.timing:6.000000|ms|#global:tag,tag:tag", "ms namespace.timing{global=tag,tag=tag}=6"),
    (b"gauge:1|g", "g gauge=1"),
    (b"gauge:1|g|#tag1:tag1", "g gauge{tag1=tag1}=1"),
    (b"metric:1|g|#tag1:tag1,tag2:tag2", "g metric{tag1=tag1,tag2=tag2}=1"),
    (b"metric:1|g|@0.1", "g metric=1"),
    (b"metric:1|g|@0.1|#tag1:tag1", "g metric{tag1=tag1}=1"),
    (b"metric:1|g", "g metric=1"),
    (b"metric:1|g|@0.1|#tag:dog,tag:dog2", "g metric{tag=dog,tag=dog2}=1", "g metric{tag=dog2}=1", "last-tag"),
    *_behind(b"namespace.metric:1|g", "g namespace.metric{tag=tag}=1"),
    *_behind(b"namespace.metric:1|c", "c namespace.metric{tag=tag}=1"),
    *_behind(b"namespace.metric:1|h", "h namespace.metric{tag=tag}=1"),
    *_behind(b"namespace.metric:1|d", "d namespace.metric{tag=tag}=1"),
    *_behind(b"namespace.metric:value|s", "s namespace.metric{tag=tag}=value"),
    *_behind(b"namespace.metric:1.000000|ms", "ms namespace.metric{tag=tag}=1"),
    (
        b"namespace.metric:1|g|#tag:tag|c:container-id|T1658934092\n",
        "g namespace.metric{tag=tag}=1 at 1658934092",
        "g namespace.metric{tag=tag}=1",
        "timestamp",
    ),
    (
        b"namespace.metric:1|c|#tag:tag|c:container-id|T1658934092\n",
        "c namespace.metric{tag=tag}=1 at 1658934092",
        "c namespace.metric{tag=tag}=1",
        "timestamp",
    ),
    (
        b"namespace.metric:1|g|#tag:tag\nnamespace.metric:1|g|#tag:tag\n",
        "g namespace.metric{tag=tag}=1 / g namespace.metric{tag=tag}=1",
    ),
    (
        b"namespace.metric:1:2:3:4|h|#tag:tag\n",
        "; ".join(f"h namespace.metric{{tag=tag}}={value}" for value in (1, 2, 3, 4)),
    ),
    (
        b"namespace.metric:1:2:3:4|h|@0.33|#tag:tag\n",
        "; ".join(f"h namespace.metric{{tag=tag}}={value} x3.03030303" for value in (1, 2, 3, 4)),
    ),
    (b"namespace.metric:1:2|h|#tag:tag\n", "h namespace.metric{tag=tag}=1; h namespace.metric{tag=tag}=2"),
    (b"Decr:-1|c|#tag:tag", "c Decr{tag=tag}=-1"),
    (b"Timing:5000.000000|ms|#tag:tag", "ms Timing{tag=tag}=5000"),
    (
        b"datadog.dogstatsd.client.metrics_by_type:3|c|#client:go,client_transport:udp,metrics_type:count",
        "c datadog.dogstatsd.client.metrics_by_type{client=go,client_transport=udp,metrics_type=count}=3",
    ),
    *_kept(
        "event",
        b"_e{9,9}:EvenTitle|EventText",
        b"_e{9,29}:EvenTitle|\\nEventText\\nLine2\\n\\nLine4\\n",
        b"_e{9,9}:EvenTitle|EventText|d:1471219200",
        b"_e{9,9}:EvenTitle|EventText|h:hostname",
        b"_e{9,9}:EvenTitle|EventText|k:aggregationKey",
        b"_e{9,9}:EvenTitle|EventText|p:priority",
        b"_e{9,9}:EvenTitle|EventText|s:sourceTypeName",
        b"_e{9,9}:EvenTitle|EventText|t:alertType",
        b"_e{9,9}:EvenTitle|EventText|#tag2:test,tag1:test",
        b"_e{9,9}:EvenTitle|EventText|d:1471219200|h:hostname|k:aggregationKey|p:priority|s:SourceTypeName"
        b"|t:alertType|#tag:global,tag:normal",
        *(b"_e{5,4}:title|text" + behind for behind in _BEHIND),
        b"_e{5,30}:Hello|Something happened to my event",
        b"_e{2,4}:hi|okay|k:foo|t:info",
        b"_e{2,3}:hi|w/e|p:normal|t:error",
        b"_e{2,12}:hi|line1\\nline2|#helloworld",
        b"_e{5,0}:hello||#tag1,tag2",
    ),
    (b"_e{0,0}:|", "bad"),
    *_kept(
        "service check",
        b"_sc|service.check|0",
        b"_sc|service.check|0|m:\\n\\nmessagem\\:hello...\\n\\nm\\:aa\\nm\\:m",
        b"_sc|service.check|0|d:1471219200",
        b"_sc|service.check|0|h:hostname",
        b"_sc|service.check|0|#tag2:tag2,tag1:tag1",
        b"_sc|service.check|0|d:1471219200|h:hostname|#tag2:tag2,tag1:tag1|m:message",
        *(b"_sc|name|0" + behind for behind in _BEHIND),
        b"_sc|DataCatService|1",
        b"_sc|DataCatService|2",
        b"_sc|DataCatService|3",
        "_sc|DataCatService|0|h:DataStation.Cat|m:Here are some cyrillic chars: к л м н п т ф ц ч ш".encode(),
        b"_sc|DataCatService|0|h:DataStation.Cat|#host:foo,app:bar|m:Here goes m\\: that should be escaped",
    ),
    (b"_sc||0", "bad"),
)

_PYTHON = listed(
    "dogstatsd",
    (b"set:123|s\n", "s set=123"),
    (b"report:123.4|g\n", "g report=123.4"),
    (b"report:123.5|h\n", "h report=123.5"),
    (b"report:123.4|g|card:orchestrator\n", "g report=123.4"),
    (b"gauge:123.4|g\n", "g gauge=123.4"),
    (b"gauge:123.4|g|T1066\n", "g gauge=123.4 at 1066", "g gauge=123.4", "timestamp"),
    (b"gauge:123.4|g|card:high\n", "g gauge=123.4"),
    (b"gauge:123.4|g|card:none|T1066\n", "g gauge=123.4 at 1066", "g gauge=123.4", "timestamp"),
    (b"page.views:1|c\n", "c page.views=1"),
    (b"page.views:11|c\n", "c page.views=11"),
    (b"page.views:-1|c\n", "c page.views=-1"),
    (b"page.views:-12|c\n", "c page.views=-12"),
    (b"page.views:1|c|T1066\n", "c page.views=1 at 1066", "c page.views=1", "timestamp"),
    (b"page.views:11|c|T2121\n", "c page.views=11 at 2121", "c page.views=11", "timestamp"),
    (b"page.views:11|c|card:low\n", "c page.views=11"),
    (b"page.views:11|c|card:high|T2121\n", "c page.views=11 at 2121", "c page.views=11", "timestamp"),
    (b"histo:123.4|h\n", "h histo=123.4"),
    (b"histo:123.4|h|card:low\n", "h histo=123.4"),
    (b"dist:2|d|card:high\n", "d dist=2"),
    (b"timer:3|ms|card:high\n", "ms timer=3"),
    (b"gt:123.4|g|#pipe_in:tag,red\n", "g gt{pipe_in=tag,red=}=123.4"),
    (b"gt:123.4|g|#country:china,age:45,blue\n", "g gt{age=45,blue=,country=china}=123.4"),
    ("ct:1|c|#country:españa,red\n".encode(), "c ct{country=españa,red=}=1"),
    (b"h:1|h|#red\n", "h h{red=}=1"),
    (b"sampled_counter:1|c|@0.3", "c sampled_counter=3.333333333"),
    (b"gst:23|g|@0.9|#sampled", "g gst{sampled=}=23"),
    (b"t:123|ms\n", "ms t=123"),
    (b"page.views:1|c|#extra,bar:baz,foo\n", "c page.views{bar=baz,extra=,foo=}=1"),
    (b"gauge:6|g|#replaced:tag,a:1,b:2\n", "g gauge{a=1,b=2,replaced=tag}=6"),
    ("page.®views®:1|c\n".encode(), "c page.®views®=1"),
    ("test.ÀggregÀtion_and_buffering:10|c\n".encode(), "c test.ÀggregÀtion_and_buffering=10"),
    (b"page.views:123|g\ntimer:123|ms\n", "g page.views=123 / ms timer=123"),
    (b"page.views:123|g\ntimer:123|ms\nmy_counter:3|c", "g page.views=123 / ms timer=123 / c my_counter=3"),
    (b"page.views:1|c|#a:b|c:ci-fake-container-id\n", "c page.views{a=b}=1"),
    (
        b"page.views:1|c|#a:b|c:ci-fake-container-id|e:it-false,cn-container-name,pu-04652bb7-19b7-11e9-9cc6\n",
        "c page.views{a=b}=1",
    ),
    (
        b"gt:123.4|g|#country:canada,red,dd.internal.entity_id:04652bb7-19b7-11e9-9cc6-42010a9c016d\n",
        "g gt{country=canada,dd.internal.entity_id=04652bb7-19b7-11e9-9cc6-42010a9c016d,red=}=123.4",
    ),
    (b"set:123|s|c:ci-fake-container-id\n", "s set=123"),
    (b"gauge:123.4|g|c:ci-fake-container-id\n", "g gauge=123.4"),
    (b"page.views:-12|c|c:ci-fake-container-id\n", "c page.views=-12"),
    (b"histo:123.4|h|c:ci-fake-container-id\n", "h histo=123.4"),
    (b"t:123|ms|c:ci-fake-container-id\n", "ms t=123"),
    *_kept(
        "event",
        b"_e{5,6}:Title|L1\\nL2|d:1375296969|p:low|card:orchestrator\n",
        "_e{5,32}:Title|♬ †øU †øU ¥ºu T0µ ♪|k:key|#t1,t2:v2\n".encode(),
        "_e{89,29}:my.prefix.Delivery - Daily Settlement Summary Report Delivery — Invoice Cloud succeeded"
        "|Delivered — destination.csv\n".encode(),
        b"_e{3,4}:foo|bar1\n",
        b"_e{5,6}:Title|L1\\nL2|d:1375296969|p:low|#bar:baz,foo\n",
        b"_e{5,6}:Title|L1\\nL2|d:1375296969|p:low|c:ci-fake-container-id\n",
    ),
    *_kept(
        "service check",
        "_sc|my_check.name|1|d:1375296969|h:i-abcd1234|#key1:val1,key2:val2|m:♬ †øU \\n†øU ¥ºu|m\\: T0µ ♪"
        "|card:low\n".encode(),
        "_sc|my_check.name|1|d:1375296969|h:i-abcd1234|#bar:baz,foo|m:♬ †øU \\n†øU ¥ºu|m\\: T0µ ♪\n".encode(),
    ),
)

ORIGIN: Final = Origin(
    "Datadog's clients",
    "DataDog/datadog-go: statsd: format_test.go, buffer_test.go, event_test.go, service_check_test.go,"
    " test_helpers_test.go; DataDog/datadogpy: tests/unit/dogstatsd/test_statsd.py",
    _GO + _PYTHON,
)
