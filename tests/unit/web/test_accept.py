"""Quality values: what a client would rather have."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.web.accept import Choice, read_choices, wants_gzip, wants_openmetrics

OPENMETRICS = "application/openmetrics-text"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

UTF_8 = f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8"
TEXT_1 = "text/plain;version=1.0.0;escaping=allow-utf-8"

CHOICES: list[tuple[str, list[Choice]]] = [
    ("", []),
    (";;;,=,;q=1,, ,", []),
    ("a, b;q=0.5 ,\tc/d ; q=0.25;ext", [Choice("a", {}, 1), Choice("b", {}, 0.5)]),
    ("A/B;Q=0.5;X=Y", [Choice("a/b", {"x": "y"}, 0.5)]),
    ("a;; ;x=1;", [Choice("a", {"x": "1"}, 1)]),
    ('a;x="b,c;q=0";q=0.5, d', [Choice("a", {"x": "b,c;q=0"}, 0.5), Choice("d", {}, 1)]),
    (r'a;x="\"\\",b', [Choice("a", {"x": '"\\'}, 1), Choice("b", {}, 1)]),
    ('a, b;x="c, d', [Choice("a", {}, 1)]),
    ('"a", b', [Choice("b", {}, 1)]),
    ("a b, c/, /d, e/f/g, h", [Choice("h", {}, 1)]),
    (
        "a;q=0, b;q=1.000, c;q=0., d;q=1.",
        [Choice("a", {}, 0), *(Choice(name, {}, q) for name, q in (("b", 1), ("c", 0), ("d", 1)))],
    ),
    ("a;q=, b;q=2, c;q=1.001, d;q=.5, e;q=0.1234, f;q=-1, g;q=nan, h;q = 1, i;q=1e0", []),
]

FORMATS = [
    ("", False),
    ("*/*", False),
    ("text/plain", False),
    ("text/html,*/*;q=0.8", False),
    ("application/json", False),
    (OPENMETRICS, True),
    ("Application/OpenMetrics-Text; Version=1.0.0", True),
    (f'{OPENMETRICS}; version="1.0.0"', True),
    (f"{OPENMETRICS};version=1.0.0,text/plain", True),
    (f"text/plain,{OPENMETRICS}", True),
    (f"text/plain;q=0.9, {OPENMETRICS};q=0.1", False),
    (f"text/plain;q=0.1, {OPENMETRICS};q=0.9", True),
    (f"text/*;q=0.9, text/plain;q=0.1, {OPENMETRICS};q=0.5", True),
    (f"text/plain;q=0.1, text/plain;version=0.0.4;q=0.9, {OPENMETRICS};q=0.5", False),
    (f"text/plain;version=1.0.0, {OPENMETRICS};q=0.5", True),
    (f"*/*, {OPENMETRICS};q=0.5", False),
    (f"*/*, text/plain;q=0, {OPENMETRICS};q=0.5", True),
    (f"{OPENMETRICS};q=0", False),
    (f"{OPENMETRICS};q=0.000, text/plain;q=0", False),
    (f"{OPENMETRICS};version=1.0.0;q=0, {OPENMETRICS}", False),
    (f"{OPENMETRICS};version=0.0.1", False),
    (f"{OPENMETRICS};version=abc", False),
    (f"{OPENMETRICS};version=2.0.0,text/plain;q=0.5", False),
    (f"{OPENMETRICS};q=2", False),
    (f"{OPENMETRICS};q=nan", False),
]

SCRAPERS = [
    # Prometheus before 2.5, up to 2.33, and from 2.49 on.
    (f"{PROTOBUF};q=0.7,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", False),
    (f"{OPENMETRICS}; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
    (f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
    (
        f"{OPENMETRICS};version=1.0.0;q=0.5,{OPENMETRICS};version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        True,
    ),
    # Prometheus 3, with all that it can read, and with native histograms.
    (
        f"{UTF_8};q=0.6,{OPENMETRICS};version=0.0.1;q=0.5,{TEXT_1};q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        True,
    ),
    (
        f"{PROTOBUF};q=0.6,{UTF_8};q=0.5,{OPENMETRICS};version=0.0.1;q=0.4,{TEXT_1};q=0.3,*/*;q=0.1",
        True,
    ),
    # Prometheus 3 with scrape_protocols: the text format in either version alone.
    ("text/plain;version=0.0.4;q=0.6,*/*;q=0.5", False),
    ("text/plain;version=1.0.0;escaping=underscores;q=0.6,*/*;q=0.5", False),
    # Telegraf, Metricbeat, curl, a browser.
    (f"{PROTOBUF};q=0.7,text/plain;version=0.0.4;q=0.3", False),
    ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
    ("*/*", False),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
    # Java's own client.
    ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", False),
]

CODINGS = [
    ("", False),
    ("gzip", True),
    ("GZip", True),
    ("x-gzip", True),
    ("gzip, compressed", True),
    ("br, gzip;q=1.0", True),
    ("gzip, deflate, br, zstd", True),
    ("gzip;q=0", False),
    ("gzip; q=0.000", False),
    ("gzip;q=0.001", True),
    ("gzip;q=2", False),
    ("identity", False),
    ("gzip;q=0.5, identity", False),
    ("gzip, identity", True),
    ("gzip;q=0.5, *", False),
    ("deflate, br", False),
    ("*", True),
    ("*;q=0", False),
    ("gzip, *;q=0", True),
    ("gzip;q=0, *", False),
    ("identity;q=0, *;q=0.1", True),
    ("gzip;q=0, gzip", True),
]

tokens = st.text("!#$%&'*+-.^_`|~09az", min_size=1, max_size=4)
values = st.one_of(tokens, st.text('a ,;="\\/', max_size=4))
parameters = st.dictionaries(tokens.filter(lambda name: name != "q"), values, max_size=2)
qualities = st.one_of(st.none(), st.integers(0, 1000))
blanks = st.text(" \t", max_size=2)


@st.composite
def members(draw: st.DrawFn) -> tuple[str, Choice]:
    """Return a member as it may be written, and what it says."""
    name = "/".join(draw(st.lists(tokens, min_size=1, max_size=2)))
    chosen, quality = draw(parameters), draw(qualities)
    written = [f"{key}={_written(text)}" for key, text in chosen.items()]
    if quality is not None:
        written.append(f"{draw(st.sampled_from('qQ'))}={quality / 1000:.3f}")
    text = name + "".join(f"{draw(blanks)};{draw(blanks)}{part}" for part in written)
    return draw(blanks) + text + draw(blanks), Choice(name, chosen, 1.0 if quality is None else quality / 1000)


def _written(value: str) -> str:
    if value and not set(value) & set(' ,;="\\/'):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class ChoiceTests(SynchronousTestCase):
    """What a field names."""

    def test_choices(self) -> None:
        """Names, parameters and qualities are read as the RFC writes them; what is not written so is left out."""
        for value, choices in CHOICES:
            with self.subTest(value=value):
                self.assertEqual(list(read_choices(value)), choices)

    @given(st.lists(members(), max_size=4))
    def test_whatever_is_well_formed(self, written: list[tuple[str, Choice]]) -> None:
        """Each member that is written by the rules is read, in its order, with what it says."""
        value = ",".join(text for text, _ in written)
        self.assertEqual(list(read_choices(value)), [choice for _, choice in written])

    @given(st.lists(members(), max_size=2), st.text('a;q=01. "\\/,', max_size=20), st.lists(members(), max_size=2))
    def test_whatever_comes(
        self, before: list[tuple[str, Choice]], middle: str, after: list[tuple[str, Choice]]
    ) -> None:
        """What is between well-formed members costs none of those before it, and nothing else if its quotes match."""
        texts = [text for text, _ in before], [middle], [text for text, _ in after]
        found = list(read_choices(",".join(text for part in texts for text in part)))
        self.assertEqual(found[: len(before)], [choice for _, choice in before])
        if '"' not in middle and after:
            self.assertEqual(found[-len(after) :], [choice for _, choice in after])
        self.assertTrue(all(0 <= choice.quality <= 1 for choice in found))

    def test_long(self) -> None:
        """A header as long as there may be is read once, whatever is in it."""
        for part in ('"', '"\\', ";", "; ", ";\t;a=", 'a;b="', "a/", ",", ";a=b", '\\"'):
            for value in (part * 8192, "a" + part * 8192, "a" + part * 8192 + "\0"):
                self.assertLess(len(list(read_choices(value))), 8193)


class AcceptTests(SynchronousTestCase):
    """The two header fields."""

    def test_formats(self) -> None:
        """OpenMetrics is for those who name it and want it at least as much as text; the closest name decides."""
        for value, wanted in FORMATS:
            with self.subTest(value=value):
                self.assertEqual(wants_openmetrics(value), wanted)

    def test_scrapers(self) -> None:
        """Each scraper gets what it likes best of what there is."""
        for value, wanted in SCRAPERS:
            with self.subTest(value=value):
                self.assertEqual(wants_openmetrics(value), wanted)

    def test_codings(self) -> None:
        """Who takes gzip, by name or as one of all, and does not prefer plain bytes, gets it."""
        for value, wanted in CODINGS:
            with self.subTest(value=value):
                self.assertEqual(wants_gzip(value), wanted)

    @given(st.permutations([("gzip", 0), ("gzip", 500), ("identity", 250), ("*", 750)]), st.integers(0, 4))
    def test_order(self, named: list[tuple[str, int]], number: int) -> None:
        """The order of the members means nothing."""
        members = [f"{name};q={quality / 1000:.3f}" for name, quality in named[:number]]
        self.assertEqual(wants_gzip(",".join(members)), wants_gzip(",".join(reversed(members))))
