"""gostatsd: its lexer, and the datagrams of its parser.

It packs values of every type that is a number, so the nearest listener is one for DogStatsD's clients.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, Row, listed

__all__ = ["ORIGIN"]


def _events(*lines: bytes) -> tuple[Row, ...]:
    return tuple((line, "event kept", "event", "event") for line in lines)


def _bad(*lines: bytes) -> tuple[Row, ...]:
    return tuple((line, "bad") for line in lines)


_METRICS = listed(
    "dogstatsd",
    (b"foo.bar.baz:2|c", "c foo.bar.baz=2"),
    (b"abc.def.g:3|g", "g abc.def.g=3"),
    (b"def.g:10|ms", "ms def.g=10"),
    (b"def.h:10|h", "ms def.h=10", "h def.h=10", "unit"),
    (b"def.i:10|h|#foo", "ms def.i{foo=}=10", "h def.i{foo=}=10", "unit"),
    (b"smp.rte:5|c|@0.1", "c smp.rte=50"),
    (b"smp.rte:5|c|@0.1|#foo:bar,baz", "c smp.rte{baz=,foo=bar}=50"),
    (b"smp.rte:5|c|#foo:bar,baz", "c smp.rte{baz=,foo=bar}=5"),
    (b"uniq.usr:joe|s", "s uniq.usr=joe"),
    (b"fooBarBaz:2|c", "c fooBarBaz=2"),
    (b"smp.rte:5|c|#Foo:Bar,baz", "c smp.rte{Foo=Bar,baz=}=5"),
    (b"smp.gge:1|g|#Foo:Bar", "g smp.gge{Foo=Bar}=1"),
    (b"smp.gge:1|g|#fo_o:ba-r", "g smp.gge{fo_o=ba-r}=1"),
    (b"smp gge:1|g", "g smp_gge=1", "g smp gge=1", "raw"),
    (b"smp/gge:1|g", "g smp-gge=1", "g smp/gge=1", "raw"),
    (b"smp,gge$:1|g", "g smpgge=1", "g smp,gge$=1", "raw"),
    (b"un1qu3:john|s", "s un1qu3=john"),
    (b"un1qu3:john|s|#some:42", "s un1qu3{some=42}=john"),
    (b"da-sh:1|s", "s da-sh=1"),
    (b"under_score:1|s", "s under_score=1"),
    (b"a:1|g|#f,,", "g a{f=}=1"),
    (b"a:1|g|#,,f", "g a{f=}=1"),
    (b"a:1|g|#f,,z", "g a{f=,z=}=1"),
    (b"a:1|g|#", "g a=1"),
    (b"a:1|g|#,", "g a=1"),
    (b"a:1|g|#,,", "g a=1"),
    (b"foo.bar.baz:2|c|c:xyz", "c foo.bar.baz=2"),
    (b"smp.rte:5|c|@0.1|c:xyz", "c smp.rte=50"),
    (b"smp.rte:5|c|@0.1|#foo:bar,baz|c:xyz", "c smp.rte{baz=,foo=bar}=50"),
    (b"def.i:10|h|#foo|c:xyz", "ms def.i{foo=}=10", "h def.i{foo=}=10", "unit"),
    (b"c.after.tags:1|g|#f,,|c:xyz", "g c.after.tags{f=}=1"),
    (b"c.after.tags:1|g|#,,f|c:xyz", "g c.after.tags{f=}=1"),
    (b"c.after.tags:1|g|#f,,z|c:xyz", "g c.after.tags{f=,z=}=1"),
    (b"c.after.tags:1|g|#|c:xyz", "g c.after.tags=1"),
    (b"c.after.tags:1|g|#,|c:xyz", "g c.after.tags=1"),
    (b"c.after.tags:1|g|#,,|c:xyz", "g c.after.tags=1"),
    (b"c.after.tags:1|g|#,,|c::,#@", "g c.after.tags=1"),
    (b"field.order.rev.all:1|g|c:xyz|#foo:bar|@0.1", "g field.order.rev.all{foo=bar}=1"),
    (b"field.order.rev.notags:1|g|c:xyz|@0.1", "g field.order.rev.notags=1"),
    (b"new.last.prefix:1|g|#,,|c:xyz|x:", "g new.last.prefix=1"),
    (b"new.last.empty:1|g|#,|c:xyz|", "g new.last.empty=1"),
    (b"new.last.colon:1|g|#|c:xyz|:", "g new.last.colon=1", "bad", "mistake"),
    (b"new.first.prefix:1|g|x:#,,|c:xyz|", "g new.first.prefix=1"),
    (b"new.first.empty:1|g||#,|c:xyz", "g new.first.empty=1"),
    (b"new.first.colon:1|g|:|#|c:xyz", "g new.first.colon=1", "bad", "mistake"),
    (b"new.mid.prefix:1|g|#,,|x:|c:xyz", "g new.mid.prefix=1"),
    (b"new.mid.empty:1|g|#,||c:xyz", "g new.mid.empty=1"),
    (b"new.mid.colon:1|g|#|:|c:xyz", "g new.mid.colon=1", "bad", "mistake"),
    (b"a.packing:1:2|ms|#|:|c:xyz", "ms a.packing=1; ms a.packing=2", "bad", "mistake"),
    (b"a.packing:1:2:3|ms|#|:|c:xyz", "ms a.packing=1; ms a.packing=2; ms a.packing=3", "bad", "mistake"),
    (b"a.packing:1:2:|ms|#|:|c:xyz", "ms a.packing=1; ms a.packing=2", "bad", "mistake"),
    (b"a.packing:|ms|#|:|c:xyz", "no values", "bad", "mistake"),
    (b"a.packing:1:2|c|#|:|c:xyz", "c a.packing=1; c a.packing=2", "bad", "mistake"),
    (b"a.packing:1:2:3|c|#|:|c:xyz", "c a.packing=1; c a.packing=2; c a.packing=3", "bad", "mistake"),
    (b"a.packing:1:2:|c|#|:|c:xyz", "c a.packing=1; c a.packing=2", "bad", "mistake"),
    (b"a.packing:1:2|g|#|:|c:xyz", "g a.packing=1; g a.packing=2", "bad", "mistake"),
    (b"a.packing:1:2:3|g|#|:|c:xyz", "g a.packing=1; g a.packing=2; g a.packing=3", "bad", "mistake"),
    (b"a.packing:1:2:|g|#|:|c:xyz", "g a.packing=1; g a.packing=2", "bad", "mistake"),
    (b"a.packing:::|g|#|:|c:xyz", "no values", "bad", "mistake"),
    *_bad(b"fOO|bar:bazkk", b"foo.bar.baz:1|q", b"NaN.should.be:NaN|g", b"bad.sampling:1|g|@"),
)

_EVENTS = listed(
    "dogstatsd",
    *_events(
        b"_e{1,1}:a|b",
        b"_e{6,18}:ab|| c|hello,\\nmy friend!",
        b"_e{1,1}:a|b|d:123123",
        b"_e{1,1}:a|b|d:123123|h:hoost",
        b"_e{1,1}:a|b|d:123123|h:hoost|p:low",
        b"_e{1,1}:a|b|d:123123|h:hoost|p:low|t:warning",
        b"_e{1,1}:a|b|d:123123|h:hoost|p:low|t:warning|c:xyz",
        b"_e{1,1}:a|b|d:123123|h:hoost|p:low|t:warning|#tag1,t:tag2",
        b"_e{1,1}:a|b|d:123123|h:hoost|p:low|t:warning|#tag1,t:tag2|c:xyz",
        b"_e{1,1}:a|b|c:xyz|#tag1,t:tag2|t:warning|d:123123|h:hoost|p:low",
        b"_e{1,1}:a|b|x:unk|#tag1,t:tag2|t:warning|d:123123|h:hoost|p:low|c:xyz",
        b"_e{1,1}:a|b|k:agg_key",
        b"_e{1,1}:a|b|h:hoost",
        b"_e{1,1}:a|b|h:hoost|x:unk",
        b"_e{1,1}:a|b|p:low",
        b"_e{1,1}:a|b|t:warning",
        b"_e{1,1}:a|b|#tag1,t:tag2",
        b"_e{1,1}:a|b|c:xyz",
        b"_e{1,1}:a|b|x:unk",
        b"_e{20,34}:Deployment completed|Deployment completed in 7 minutes.|d:1463746133|h:9c00cf070c14"
        b"|s:Micros Server|t:success|#topic:service.deploy,message_env:pdev,service_id:node-refapp-ci-internal",
    ),
    (b"_e{2,1}:a|b", "bad", "event", "length"),
    (b"_e{1,2}:a|b", "bad", "event", "length"),
    (b"_e{2,2}:a|b", "bad", "event", "length"),
    (b"_e{999999999999999999999999,1}:a|b", "bad", "event", "length"),
    (b"_e{1,999999999999999999999999}:a|b", "bad", "event", "length"),
    *_bad(
        b"_x{1,1}:a|b",
        b"_e{1,1}:ab",
        b"_e{1,1}ab",
        b"_e{1,1}a:b",
        b"_e{1,1}:a:b",
        b"_e{,1}:a|b",
        b"_e{1,}:a|b",
        b"_e{1}:a|b",
        b"_e{}:a|b",
        b"_e1,2}:a|b",
        b"_e:a|b",
    ),
)

_DATAGRAMS = listed(
    "dogstatsd",
    (b"f:2|c", "c f=2"),
    (b"f:2|c\n", "c f=2"),
    (b"f:2|c|#t", "c f{t=}=2"),
    (b"f:2|c|#host:h", "c f{host=h}=2"),
    (b"f:2|c\nx:3|c", "c f=2; c x=3"),
    (b"f:2|c\nx:3|c\n", "c f=2; c x=3"),
    (b"f:2:2|c\nx:3:3|c\n", "c f=4; c x=6"),
    (b"f:2:2|ms\nx:3:3|ms\n", "ms f has 2, 4; ms x has 2, 6"),
    (b"f:1:3|ms\nx:2|ms\n", "ms f has 2, 4; ms x has 1, 2"),
    (b"f:3:3:1|g\nx:2|g\n", "g f=1; g x=2"),
    (b"f:3:|g\nx:2|g\n", "g f=3; g x=2"),
    summed=True,
) + listed("dogstatsd", (b"_e{1,1}:a|b\nf:6|c", "event kept / c f=6", "event / c f=6", "event"))

ORIGIN: Final = Origin(
    "gostatsd",
    "atlassian/gostatsd: internal/lexer/lexer_test.go, pkg/statsd/parser_test.go",
    _METRICS + _EVENTS + _DATAGRAMS,
)
