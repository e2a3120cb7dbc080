"""Tests of endpoint strings."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.endpoints import Endpoint, EndpointError, TlsFiles, parse_count, parse_http, parse_listen
from statsd_tcp.wire.grammar import DIALECTS, LARGEST_PACKET, TAG_STYLES, Grammar, named

GOOD: dict[str, Endpoint] = {
    "tcp:8125": Endpoint("tcp", 8125),
    "tcp:0:interface=127.0.0.1:name=a": Endpoint("tcp", 0, "127.0.0.1", name="a"),
    "udp:8125:dialect=dogstatsd": Endpoint("udp", 8125, dialect="dogstatsd"),
    "udp:8125:rcvbuf=4194304": Endpoint("udp", 8125, rcvbuf=4194304),
    "udp:1:interface=\\:\\:1": Endpoint("udp", 1, "::1"),
    "unix:/run/s": Endpoint("unix", path="/run/s"),
    "unix:/run/s:mode=0622": Endpoint("unix", path="/run/s", mode=0o622),
    "unix:/run/s:framing=length:dialect=dogstatsd": Endpoint(
        "unix", path="/run/s", framing="length", dialect="dogstatsd"
    ),
    "udp:1:tags=dogstatsd,graphite": Endpoint("udp", 1, tags=frozenset({"dogstatsd", "graphite"})),
    "udp:1:tags= influx , librato": Endpoint("udp", 1, tags=frozenset({"influx", "librato"})),
    "tcp:1:tags=none": Endpoint("tcp", 1, tags=frozenset()),
    "tcp:1:tags=all:dialect=dogstatsd": Endpoint("tcp", 1, dialect="dogstatsd", tags=frozenset(TAG_STYLES)),
    "tcp:1:container=label:max-line=65536": Endpoint("tcp", 1, container="label", max_line=65536),
    "unix:/run/a\\:b": Endpoint("unix", path="/run/a:b"),
    "unix:/run/../tmp//s": Endpoint("unix", path="/tmp/s"),
    "unix:@stats": Endpoint("unix", path="@stats"),
    "unixgram:/run/s:user=0:group=root": Endpoint("unixgram", path="/run/s", user=0, group=0),
    "tcp:1:proxy=v2": Endpoint("tcp", 1, proxy="v2"),
    "tcp:1:proxy=any:trust=10.0.0.0/8,192.0.2.7, fd00\\:\\:/8:confirm=read": Endpoint(
        "tcp", 1, proxy="any", trust=("10.0.0.0/8", "192.0.2.7/32", "fd00::/8"), confirm="read"
    ),
    "unix:/s:proxy=v1:confirm=read:framing=length": Endpoint(
        "unix", path="/s", proxy="v1", confirm="read", framing="length"
    ),
    "ssl:1:privateKey=/k:proxy=v2:trust=\\:\\:/0": Endpoint(
        "ssl", 1, tls=TlsFiles("/k", "/k"), proxy="v2", trust=("::/0",)
    ),
    "tcp:1:confirm=stored": Endpoint("tcp", 1, confirm="stored"),
    "ssl:1:privateKey=/k:confirm=stored": Endpoint("ssl", 1, tls=TlsFiles("/k", "/k"), confirm="stored"),
    "ssl:8443:privateKey=/k:certKey=/c": Endpoint("ssl", 8443, tls=TlsFiles("/k", "/c")),
    "ssl:8443:privateKey=/both": Endpoint("ssl", 8443, tls=TlsFiles("/both", "/both")),
    "ssl:1:privateKey=/k:clientCA=/ca:interface=10.0.0.1": Endpoint(
        "ssl", 1, "10.0.0.1", tls=TlsFiles("/k", "/k", "/ca")
    ),
}

BAD: dict[str, str] = {
    "": "'' is not one of tcp, udp, unix, unixgram, ssl; write tcp:PORT",
    "ftp:21": "'ftp' is not one of",
    "tcp": "the port is missing; write tcp:PORT",
    "tcp:65536": "is not a port",
    "tcp:x": "is not a port",
    "tcp:1:": "'' is not one of",
    "tcp:1:mode=660": "'mode=660' is not one of confirm=, container=, dialect=, interface=, max-line=, name=, "
    "proxy=, tags=, trust=",
    "tcp:1:proxy=v3": "proxy=v3 is not one of v1, v2, any",
    "tcp:1:trust=10.0.0.0/8": "trust= says where headers may come from: write proxy=v1",
    "tcp:1:proxy=v1:trust=": "trust=: '' is not a network",
    "tcp:1:proxy=v1:trust=10.0.0.1/8": "trust=10.0.0.1/8: '10.0.0.1/8' is not a network",
    "tcp:1:proxy=v1:trust=lb.example": "'lb.example' is not a network",
    "tcp:1:proxy=v1:trust=" + ",".join(["10.0.0.0/8"] * 65): "trust= has 65 networks; there may be at most 64",
    "tcp:1:confirm=sent": "confirm=sent is not one of read, stored",
    "unix:/s:confirm=stored:framing=length": "confirm=stored is for batches of lines: leave out framing=length",
    "udp:1:proxy=v2": "'proxy=v2' is not one of",
    "udp:1:confirm=read": "'confirm=read' is not one of",
    "unix:/s:proxy=v2:trust=10.0.0.0/8": "'trust=10.0.0.0/8' is not one of",
    "ssl:1:privateKey=/k:confirm=read": "TLS does not have: use confirm=stored",
    "tcp:1:rcvbuf=9999": "'rcvbuf=9999' is not one of",
    "tcp:1:framing=length": "'framing=length' is not one of",
    "tcp:1:name=a:name=b": "name= is given twice",
    "tcp:1:name=a b": "name=a b may have",
    "tcp:1:interface=here": "interface=here is not an IP address",
    "tcp:1:dialect=other": "dialect=other is not one of etsy, dogstatsd",
    "tcp:1\\": "a backslash at the end escapes nothing",
    "tcp:1:tags=dogstatsd,datadog": "tags=dogstatsd,datadog: 'datadog' is not one of dogstatsd, influx, librato",
    "tcp:1:tags=": "tags=: '' is not one of dogstatsd",
    "tcp:1:tags=all,none": "tags=all,none: 'all' is not one of",
    "tcp:1:container=drop": "container=drop is not one of label, ignore",
    "tcp:1:max-line=1048577": "max-line=1048577 is not a number of bytes from 64 to 1048576",
    "tcp:1:max-line=8k": "max-line=8k is not a number",
    "udp:1:max-line=9000": "'max-line=9000' is not one of",
    "unixgram:/s:max-line=9000": "'max-line=9000' is not one of",
    "unix:/s:framing=length:max-line=9000": "max-line= is for lines",
    "udp:1:rcvbuf=12": "rcvbuf=12 is not a number of bytes",
    "udp:1:rcvbuf=big": "rcvbuf=big is not a number of bytes",
    "unix": "the path is missing; write unix:PATH",
    "unix:": "'' is not a path",
    "unix:@": "'@' is not a path",
    "unix:/run/": "'/run/' is not a path",
    "unix:/" + "x" * 107: "is longer than the 107 bytes",
    "unix:/s:mode=888": "mode=888 is not an octal mode",
    "unix:/s:mode=1777": "mode=1777 is not an octal mode",
    "unix:/s:mode=-1": "mode=-1 is not an octal mode",
    "unix:/s:user=no.such.user": "there is no such user",
    "unix:/s:group=no.such.group": "there is no such group",
    "unix:/s:framing=lengths": "framing=lengths is not one of lines, length",
    "unix:@s:mode=600": "mode: an abstract name has no file",
    "unixgram:/s:framing=length": "'framing=length' is not one of",
    "ssl:1": "privateKey= is missing",
    "ssl:1:certKey=/c": "privateKey= is missing",
    "ssl:1:privateKey=": "privateKey= is not the path of a file",
}


class ListenTests(SynchronousTestCase):
    """Values of ``--listen``."""

    def test_good(self) -> None:
        """Each string means one endpoint."""
        self.assertEqual(GOOD, {text: parse_listen(text) for text in GOOD})

    def test_written_again(self) -> None:
        """An endpoint that is written as a string means the same."""
        for endpoint in GOOD.values():
            self.assertEqual(endpoint, parse_listen(str(endpoint)))

    def test_bad(self) -> None:
        """Each mistake is named."""
        for text, words in BAD.items():
            self.assertIn(words, str(self.assertRaises(EndpointError, parse_listen, text)))

    def test_relative_path(self) -> None:
        """A relative path is meant from the folder where the service is started, wherever it goes later."""
        self.assertEqual(str(Path.cwd() / "s"), parse_listen("unix:s").path)

    def test_longest_path(self) -> None:
        """A path of 107 bytes is one that the kernel takes."""
        path = "/" + "x" * 106
        self.assertEqual(path, parse_listen(f"unix:{path}").path)
        self.assertIn("longer", str(self.assertRaises(EndpointError, parse_listen, "unix:/" + "\u00e9" * 54)))

    @given(st.text(max_size=40))
    def test_anything(self, text: str) -> None:
        """Whatever is given is an endpoint or an `EndpointError`."""
        for scheme in ("", "tcp:1:", "unix:", "ssl:1:privateKey=k:"):
            try:
                endpoint = parse_listen(scheme + text)
            except EndpointError:
                continue
            self.assertEqual(endpoint, parse_listen(str(endpoint)))


class GrammarTests(SynchronousTestCase):
    """The grammar of a listener's lines."""

    def test_grammars(self) -> None:
        """It is its dialect's, except for what the endpoint says; a datagram or packet bounds its lines by itself."""
        table = {
            "tcp:1": DIALECTS["etsy"],
            "udp:1": Grammar(max_line=LARGEST_PACKET),
            "unixgram:/s": Grammar(max_line=LARGEST_PACKET),
            "unix:/s": DIALECTS["etsy"],
            "unix:/s:framing=length": Grammar(max_line=LARGEST_PACKET),
            "tcp:1:dialect=statsd_exporter": DIALECTS["statsd_exporter"],
            "tcp:1:dialect=statsd_exporter:container=ignore": replace(DIALECTS["statsd_exporter"], container=False),
            "tcp:1:tags=graphite,influx:max-line=70000": Grammar(
                tags=frozenset({"graphite", "influx"}), max_line=70000
            ),
            "tcp:1:tags=none:container=label": Grammar(tags=frozenset(), container=True),
        }
        for text, grammar in table.items():
            self.assertEqual(grammar, named(parse_listen(text).grammar), text)


class OtherOptionTests(SynchronousTestCase):
    """Values of ``--count`` and ``--http``."""

    def test_count(self) -> None:
        """Only TCP connections are counted."""
        self.assertEqual(Endpoint("tcp", 8888, count_only=True), parse_count("tcp:8888"))
        for text in ("udp:1", "unix:/s", "ssl:1", "tcp:1:dialect=etsy"):
            self.assertRaises(EndpointError, parse_count, text)

    def test_http(self) -> None:
        """The pages are on TCP."""
        self.assertEqual(Endpoint("tcp", 80, "::1"), parse_http("tcp:80:interface=\\:\\:1"))
        self.assertRaises(EndpointError, parse_http, "unix:/s")


class LabelTests(SynchronousTestCase):
    """The label of a listener."""

    def test_labels(self) -> None:
        """It is the name if there is one, else the scheme with what tells the place."""
        table = {
            "tcp:0": "tcp:99",
            "tcp:0:interface=127.0.0.1": "tcp:127.0.0.1:99",
            "tcp:0:interface=\\:\\:1": "tcp:[::1]:99",
            "tcp:0:name=web": "web",
            "unix:/run/s": "unix:/run/s",
            "unixgram:@s": "unixgram:@s",
            "unix:/run/s:name=agent": "agent",
            "ssl:0:privateKey=/k": "ssl:99",
        }
        self.assertEqual(table, {text: parse_listen(text).label(99) for text in table})

    def test_kinds(self) -> None:
        """Streams and datagrams are told apart, and names without a file from paths."""
        streams = {scheme for scheme in ("tcp", "udp", "unix", "unixgram", "ssl") if Endpoint(scheme).stream}
        self.assertEqual({"tcp", "unix", "ssl"}, streams)
        self.assertEqual([True, False], [parse_listen(text).abstract for text in ("unix:@a", "unix:/a")])
