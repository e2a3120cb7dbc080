"""The DogStatsD server of Datadog's agent."""

from __future__ import annotations

from typing import Final

from tests.conformance.case import Origin, Row, listed

__all__ = ["ORIGIN"]

_ID = b"2a25f7fc8fbf573d62053d7263dd2d440c07b6ab4d2b107e50b0d4df1f2ee15f"
_BOTH = "daemon{sometag1=somevalue1,sometag2=somevalue2}"


def _same(outcome: str, *lines: bytes) -> tuple[Row, ...]:
    return tuple((line, outcome) for line in lines)


def _kept(what: str, *lines: bytes) -> tuple[Row, ...]:
    return tuple((line, f"{what} kept", what, "event") for line in lines)


_METRICS = listed(
    "dogstatsd",
    (b"daemon:666|g", "g daemon=666"),
    (b"daemon:666:777|g", "g daemon=666; g daemon=777"),
    (b"daemon:21|c", "c daemon=21"),
    (b"daemon:666:777|c", "c daemon=666; c daemon=777"),
    (b"custom_counter:1|c|#protocol:http,bench", "c custom_counter{bench=,protocol=http}=1"),
    (b"daemon:21|h", "h daemon=21"),
    (b"daemon:21:22|h", "h daemon=21; h daemon=22"),
    (b"daemon:21|ms", "ms daemon=21"),
    (b"daemon:21:22|ms", "ms daemon=21; ms daemon=22"),
    (b"daemon:abc|s", "s daemon=abc"),
    (b"daemon:abc:def|s", "s daemon=abc:def"),
    (b"daemon:3.5|d", "d daemon=3.5"),
    (b"daemon:3.5:4.5|d", "d daemon=3.5; d daemon=4.5"),
    ("daemon:♬†øU†øU¥ºuT0♪|s".encode(), "s daemon=♬†øU†øU¥ºuT0♪"),
    (b"daemon:666|g|#sometag1:somevalue1,sometag2:somevalue2", f"g {_BOTH}=666"),
    (b"daemon:666|g|@0.21", "g daemon=666"),
    (b"daemon:666|g|#", "g daemon=666"),
    ("♬†øU†øU¥ºuT0♪:666|g|#intitulé:T0µ".encode(), "g ♬†øU†øU¥ºuT0♪{intitulé=T0µ}=666"),
    *_same(
        "bad",
        b"daemon:666",
        b"daemon:666|",
        b"daemon:|g",
        b":666|g",
        b"abc666|g",
        b"daemon:abc|g",
        b"daemon:666|unknown",
        b"daemon:666|g|@abc",
    ),
    (b"daemon:666|g|m:test", "g daemon=666"),
    (b"metric:1234|g|#onetag|TABCD", "bad", "g metric{onetag=}=1234", "timestamp"),
    (b"metric:1234|g|#onetag|T", "bad", "g metric{onetag=}=1234", "timestamp"),
    (b"metric:1234|g|#onetag|T-102348932", "bad", "g metric{onetag=}=1234", "timestamp"),
    (b"example.metric:2.39283|d|@1.000000|#environment:dev|c:" + _ID, "d example.metric{environment=dev}=2.39283"),
    (b"song.length:240|h|@0.5", "h song.length=240 x2"),
    (b"test.metric:666|g", "g test.metric=666"),
    (
        b"m:1.1234:21.5:13|h|#tag:test,mytag,good:boy",
        "; ".join(f"h m{{good=boy,mytag=,tag=test}}={value}" for value in ("1.1234", "21.5", "13")),
    ),
    (b"m:1.1234|h", "h m=1.1234"),
    (b"m:1.1234:41:|h", "h m=1.1234; h m=41"),
    (b"m:1.1234::41|h", "h m=1.1234; h m=41"),
    (b"m::1.1234::41|h", "h m=1.1234; h m=41"),
    (b"daemon:666:500|g|#sometag1:somevalue1,sometag2:somevalue2", f"g {_BOTH}=666; g {_BOTH}=500"),
    (b"daemon:666|g|@0.5|#sometag1:somevalue1,sometag2:somevalue2", f"g {_BOTH}=666"),
    (b"daemon:666|c|@0.5|#sometag1:somevalue1,sometag2:somevalue2", f"c {_BOTH}=1332"),
    (b"daemon:666|h|@0.5|#sometag1:somevalue1,sometag2:somevalue2", f"h {_BOTH}=666 x2"),
    (b"daemon:666|ms|@0.5|#sometag1:somevalue1,sometag2:somevalue2", f"ms {_BOTH}=666 x2"),
    (b"daemon:abc|s|@0.5|#sometag1:somevalue1,sometag2:somevalue2", f"s {_BOTH}=abc"),
    (b"metric.name:123|g|c:metric-container", "g metric.name=123"),
    (b"metric:1234|g|c:1234567890abcdef", "g metric=1234"),
    (b"metric.name:123|g|c:metric-container|#dd.internal.card:none", "g metric.name{dd.internal.card=none}=123"),
)


def _timed(when: str, meaning: str, *lines: bytes) -> tuple[Row, ...]:
    return tuple((line, f"{meaning} at {when}", meaning, "timestamp") for line in lines)


_TIMESTAMPS = listed(
    "dogstatsd",
    *_timed("1657100430", "g metric{onetag=}=1234", b"metric:1234|g|#onetag|T1657100430"),
    *_timed("1657100430", "g metric=1234", b"metric:1234|g|#|T1657100430"),
    *_timed("1657100440", "g metric=1234", b"metric:1234|g|@0.21|T1657100440"),
    *_timed("1657100440", "g metric{thereisatag=}=1234", b"metric:1234|g|#thereisatag|@0.21|T1657100440"),
    *_timed(
        "1657100540",
        "g metric{thereisatag=}=1234",
        b"metric:1234|g|#thereisatag|T1657100540|@0.21",
        b"metric:1234|g|@0.21|T1657100540|#thereisatag",
    ),
    *_timed(
        "1657100540",
        "g metric{atag=}=1234",
        b"metric:1234|g|T1657100540|@0.25|#atag",
        b"metric:1234|g|T1657100540|#atag|@0.25",
    ),
    *_timed(
        "1657100540",
        "d example.metric{environment=dev}=2.39283",
        b"example.metric:2.39283|d|T1657100540|@1.000000|#environment:dev|c:" + _ID,
        b"example.metric:2.39283|d|T1657100540|@1.000000|#environment:dev|c:" + _ID + b"|f:wowthisisacoolfeature",
        b"example.metric:2.39283|d|T1657100540|@1.000000|#environment:dev|c:"
        + _ID
        + b"|f:wowthisisacoolfeature|f2:omgthisoneiscooler",
    ),
    *_timed(
        "1658328888", f"g {_BOTH}=666", b"daemon:666|g|@0.5|#sometag1:somevalue1,sometag2:somevalue2|T1658328888\n"
    ),
    *_timed(
        "1658328888", f"c {_BOTH}=1332", b"daemon:666|c|@0.5|#sometag1:somevalue1,sometag2:somevalue2|T1658328888\n"
    ),
    *_timed(
        "1658328888", f"h {_BOTH}=666 x2", b"daemon:666|h|@0.5|#sometag1:somevalue1,sometag2:somevalue2|T1658328888\n"
    ),
    *_timed(
        "1658328888", f"ms {_BOTH}=666 x2", b"daemon:666|ms|@0.5|#sometag1:somevalue1,sometag2:somevalue2|T1658328888\n"
    ),
    *_timed(
        "1658328888", f"s {_BOTH}=abc", b"daemon:abc|s|@0.5|#sometag1:somevalue1,sometag2:somevalue2|T1658328888\n"
    ),
)

_LAST = b"daemon2:1000|c|#sometag1:somevalue1,sometag2:somevalue2"
_LAST_MEANS = "c daemon2{sometag1=somevalue1,sometag2=somevalue2}=1000"

_PACKETS = listed(
    "dogstatsd",
    (b"daemon:666|c\n" + _LAST, f"c daemon=666 / {_LAST_MEANS}"),
    (b"daemon:666:123|c\n" + _LAST, f"c daemon=666; c daemon=123 / {_LAST_MEANS}"),
    (b"daemon::666::123::::|c\n" + _LAST, f"c daemon=666; c daemon=123 / {_LAST_MEANS}"),
    (b"daemon:666|c\n\n" + _LAST + b"\n", f"c daemon=666 / {_LAST_MEANS}"),
    (b"daemon:666a|g\n" + _LAST, f"bad / {_LAST_MEANS}"),
    (
        b"daemon:|g\n" + _LAST + b"\ndaemon3: :1:|g",
        f"bad / {_LAST_MEANS} / bad",
        f"bad / {_LAST_MEANS} / g daemon3=1",
        "blanks",
    ),
)

_EVENTS = listed(
    "dogstatsd",
    *_kept(
        "event",
        b"_e{10,9}:test title|test text",
        b"_e{10,24}:test title|test\\line1\\nline2\\nline3",
        b"_e{10,24}:test|title|test\\line1\\nline2\\nline3",
        b"_e{5,4}:title|text|d:abc",
        b"_e{5,4}:title|text|p:urgent",
        b"_e{5,4}:title|text|t:test",
        b"_e{5,4}:title|text|x:1234",
        b"_e{10,9}:test title|test text|d:21",
        b"_e{10,9}:test title|test text|p:low",
        b"_e{10,9}:test title|test text|h:localhost",
        b"_e{10,9}:test title|test text|t:warning",
        b"_e{10,9}:test title|test text|k:some aggregation key",
        b"_e{10,9}:test title|test text|s:this is the source",
        b"_e{10,9}:test title|test text|#tag1,tag2:test",
        b"_e{10,9}:test title|test text|t:warning|d:12345|p:low|h:some.host|k:aggKey|s:source test|#tag1,tag2:test",
        b"_e{10,0}:test title|",
        b"_e{10,0}:test title||t:warning",
        b"_e{10,10}:event title|test\\ntext|c:event-container",
        b"_e{10,10}:event title|test\\ntext|c:event-container|#dd.internal.card:none",
        b"_e{11,15}:test titled|test\\ntextntext|t:info|d:12346|p:normal|h:some.otherhost|k:aggKeyAlt"
        b"|s:source investigation|#tag1,tag2:test,tag3:resolved",
    ),
    (b"_e{10,10}:title|text", "bad", "event", "length"),
    (b"_e{0,0}:a|a", "bad", "event", "length"),
    *_same(
        "bad",
        b"_e:title|text",
        b"_e{0,4}:text",
        b"_e{5555:title|text",
        b"_e{a,1}:title|text",
        b"_e{1,a}:title|text",
        b"_e{5,}:title|text",
        b"_e{,4}:title|text",
        b"_e{}:title|text",
        b"_e{,}:title|text",
        b"_e|text",
        b"_e:|text",
        b"_e{-123,-987}:",
        b"_e{5,-987}:title",
        b"_e{0001,-9876",
        b"_e{0,9}:|test text",
        b"_e{-5,2}:abc",
    ),
)

_SERVICE_CHECKS = listed(
    "dogstatsd",
    *_kept(
        "service check",
        b"_sc|agent.up|0",
        b"_sc|agent.up|0|d:some_time",
        b"_sc|agent.up|0|u:unknown",
        b"_sc|agent.up|0|d:21",
        b"_sc|agent.up|0|h:localhost",
        b"_sc|agent.up|0|#tag1,tag2:test,tag3",
        b"_sc|agent.up|0|m:this is fine",
        b"_sc|agent.up|0|d:21|h:localhost|#tag1:test,tag2|m:this is fine",
        b"_sc|agent.up|0|d:21|h:localhost|h:localhost2|d:22",
        b"_sc|service-check.name|0|c:service-check-container",
        b"_sc|service-check.name|0|c:service-check-container|#dd.internal.card:none",
    ),
    *_same(
        "bad",
        b"_sc|agent.up",
        b"_sc|agent.up|",
        b"_sc||",
        b"_sc|",
        b"_sc|agent.up|OK",
        b"_sc|agent.up|21",
        b"_sc|agen.down",
    ),
)

ORIGIN: Final = Origin(
    "DogStatsD",
    "DataDog/datadog-agent: comp/dogstatsd/server: parse_metrics_test.go, parse_events_test.go,"
    " parse_service_checks_test.go, parse_test.go, server_test.go, server_worker_test.go",
    _METRICS + _TIMESTAMPS + _PACKETS + _EVENTS + _SERVICE_CHECKS,
)
