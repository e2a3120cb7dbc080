"""What lines mean that clients really send, over every way into the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.functional.clients import datagram, half_close
from tests.functional.metrics import Metrics
from tests.functional.service import Service, options

TIMES = 3
"""Each line is sent so often, one after the other: once a shape is known, another part of the program adds it up."""

ROWS: dict[str, tuple[list[bytes], dict[str, float]]] = {
    "a port in a name": (
        [b"up.db1:5432:12|ms"],
        {"up_db1_count": TIMES, "up_db1_sum": 0.012 * TIMES, "bad": TIMES},
    ),
    "no tags": (
        [b"posts#index:1|c", b"posts#show:2|c"],
        {"posts_index": TIMES, "posts_show": 2 * TIMES},
    ),
    "brackets": ([b"disk[0].used:5|g", b"disk[1].used:7|g"], {"disk_0__used": 5, "disk_1__used": 7}),
    "methods": (
        [b"Foo#bar:12|ms", b"Foo#baz:30|ms"],
        {"Foo_bar_sum": 0.012 * TIMES, "Foo_baz_sum": 0.03 * TIMES},
    ),
    "hashes before keys": ([b"p:1|c|#env:prod,#role:web"], {'p{env="prod",role="web"}': TIMES}),
    "an empty place": ([b"pk:1:2:|h"], {"pk_sum": 3 * TIMES, "pk_count": 2 * TIMES}),
    "large gauges": (
        [b"now:1764298601123456789|g", b"limit:9223372036854771712|g"],
        {"now": 1764298601123456789.0, "limit": 9223372036854771712.0},
    ),
    "blanks": (
        [b"q: 0|ms", b"z:1|c ", b"s:4| g", b"envoy.outbound|80||x.total:1|g"],
        {"q_count": TIMES, "z": TIMES, "s": 4, "envoy_outbound_80__x_total": 1},
    ),
    "two sections of tags": ([b"a:1|c|#x:1|#y:2"], {'a{x="1",y="2"}': TIMES}),
    "an equals sign": ([b"c:1|c|#country=china"], {'c{country="china"}': TIMES}),
    "half a pair of brackets": ([b"a=b,c=d]e:1|c"], {"a_b_c_d_e": TIMES}),
    "packed": ([b"m:1:2|ms|#t:1"], {'m_count{t="1"}': 2 * TIMES}),
}


def over_tcp(service: Service, label: str, line: bytes) -> None:
    """Send a line over a connection of its own."""
    half_close(service.port(label), line + b"\n")


def over_udp(service: Service, label: str, line: bytes) -> None:
    """Send a line as a datagram."""
    datagram(service.port(label), line)


WAYS: dict[str, Callable[[Service, str, bytes], None]] = {"tcp": over_tcp, "udp": over_udp}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a running service with listeners of each kind."""
    folder: Path = tmp_path_factory.mktemp("service")
    kinds = {
        "etsy": "",
        "dogstatsd": ":dialect=dogstatsd",
        "exporter": ":dialect=statsd_exporter",
        "label": ":container=label:tags=dogstatsd",
        "none": ":tags=none",
    }
    listeners = [
        f"{scheme}:0:interface=127.0.0.1:name={scheme}-{kind}{keys}" for scheme in WAYS for kind, keys in kinds.items()
    ]
    long = "tcp:0:interface=127.0.0.1:name=long:max-line=1048576"
    service = Service(folder, options(folder / "state", workers=1, listen=[*listeners, long]))
    try:
        yield service.start()
    finally:
        service.end()


def bad(metrics: Metrics) -> float:
    """Return how many lines were rejected."""
    return sum(metrics.by("statscounter_bad_lines_total", "reason").values())


@pytest.mark.parametrize("way", WAYS)
def test_default(service: Service, way: str) -> None:
    """Lines that show no dialect mean what they mean to etsy's server; those of DogStatsD are understood."""
    before = service.metrics()
    expected: dict[str, float] = {}
    for lines, meaning in ROWS.values():
        for line in lines * TIMES:
            WAYS[way](service, f"{way}-etsy", way.encode() + b"." + line)
        expected |= {name if name == "bad" else f"{way}_{name}": value for name, value in meaning.items()}
    metrics = service.settled_with(sum(len(lines) * TIMES for lines, _ in ROWS.values()), before)
    assert bad(metrics) - bad(before) == expected.pop("bad")
    assert {name: metrics.shown(name) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("way", WAYS)
def test_dialects(service: Service, way: str) -> None:
    """A listener's dialect says what is packed, what a sign means, and which tags there are."""
    sent = {
        "dogstatsd": [b"d.a:1:2|ms", b"d.b,k=v:1|c", b"d.g:-5|g", b"d.t:1|c|#k:v"],
        "exporter": [b"x.a:1:2|ms", b"x.b,k=v:1|c", b"x.mem:5|g|#s:w|c:ci-aaa", b"x.mem:7|g|#s:w|c:ci-bbb"],
        "label": [b"l.mem:5|g|c:ci-aaa", b"l.b,k=v:1|c"],
        "none": [b"n.a:1|c|#k:v", b"n.b[k=v]:1|c"],
    }
    before = service.metrics()
    for kind, lines in sent.items():
        for line in lines:
            WAYS[way](service, f"{way}-{kind}", way.encode() + b"." + line)
    metrics = service.settled_with(sum(map(len, sent.values())), before)
    expected = {
        "d_a_count": 2, "d_b_k_v": 1, "d_g": -5, 'd_t{k="v"}': 1,
        "x_a_count": 2, 'x_b{k="v"}': 1,
        'x_mem{container_id="ci-aaa",s="w"}': 5, 'x_mem{container_id="ci-bbb",s="w"}': 7,
        'l_mem{container_id="ci-aaa"}': 5, "l_b_k_v": 1, "n_a": 1, "n_b_k_v_": 1,
    }  # fmt: skip
    assert {name: metrics.shown(f"{way}_{name}") for name in expected} == expected


def test_long_lines(service: Service) -> None:
    """A datagram bounds its line by itself; a stream's listener says how long a line may be."""
    before = service.metrics()
    packed = b"long.%b:" + b":".join([b"1"] * 6000) + b"|h"
    datagram(service.port("udp-etsy"), packed % b"udp")
    half_close(service.port("tcp-etsy"), packed % b"tcp" + b"\n")
    half_close(service.port("long"), b"long.stream:" + b":".join([b"1"] * 500_000) + b"|h\n")
    metrics = service.settled_with(2, before)
    assert metrics.shown("long_udp_count") == 6000
    assert metrics.shown("long_stream_count") == 500_000
    too_long = [each.by("statscounter_bad_lines_total", "reason").get("line_too_long", 0) for each in (before, metrics)]
    assert too_long[1] - too_long[0] == 1
