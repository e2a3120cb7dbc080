"""Which series Graphite can tell apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.collisions import collisions
from statsd_tcp.outputs.graphite_paths import PATH_NAMES, name_and_tags
from statsd_tcp.wire.series import series_identity

_TEXT = st.text("ab/- _;=!^ü", min_size=1, max_size=3) | st.just("name")
identities = st.builds(
    lambda name, tags: series_identity(name, list(tags.items())),
    _TEXT,
    st.dictionaries(_TEXT, st.text('ab/ =:;~"}', max_size=3), max_size=2),
)


class TagTests(SynchronousTestCase):
    """Tags, as carbon takes them."""

    def test_table(self) -> None:
        """Only what carbon cannot take is replaced: different tags stay different as far as it lets them."""
        cases = {
            ("addr", "10.0.0.1:443"): ";addr=10.0.0.1:443",
            ("addr", "10.0.0.14:43"): ";addr=10.0.0.14:43",
            ("path", "/a b?c=d&e=\u00e9"): ";path=/a_b?c=d&e=\u00e9",
            ("k!^=;k", "a;b"): ";k____k=a_b",
            ("k", "~v~"): ";k=_v~",
            ("k", '{a="b"}'): ';k={a="b"_',
            ("k", ""): ";k=true",
            ("name", "x"): ";name_=x",
            ("k\x7f", "a\u00a0\x00"): ";k_=a__",
        }
        for tag, written in cases.items():
            self.assertEqual(name_and_tags(series_identity("x", [tag])), ("x", written))

    def test_tags_in_a_name(self) -> None:
        """What could be Graphite's tags in a name is, where carbon takes all of them; else it is name."""
        cases = {
            "x;a=b;c=d": ("x", ";a=b;c=d"),
            "x;a=b;c": ("x_a=b_c", ""),
            "x;": ("x_", ""),
            "posts#a": ("postsa", ""),
        }
        self.assertEqual({name: name_and_tags(name) for name in cases}, cases)

    @given(identities)
    def test_carbon_takes_it(self, identity: str) -> None:
        """Every path has a form that carbon's parser accepts, and reads back as the same tags."""
        name, tags = name_and_tags(identity)
        path = f"stats.{name}{tags}"
        self.assertEqual(path.split(), [path])
        self.assertFalse(path.endswith('"}'))
        for tag in tags.split(";")[1:]:
            key, sign, value = tag.partition("=")
            self.assertTrue(key and sign and value and value[0] != "~")
            self.assertTrue(set(key).isdisjoint(";!^=") and key != "name")


class CollisionTests(SynchronousTestCase):
    """Series that are written alike."""

    def test_table(self) -> None:
        """Names, tags and values that differ in what is left out are alike; a plain one comes first in its group."""
        bare, true = series_identity("x", [("blue", "")]), series_identity("x", [("blue", "true")])
        cases = [
            (["a/b", "a-b"], [("a-b", "a/b")]),
            (["a b", "a\tb", "a_b", "a__b"], [("a_b", "a b", "a\tb")]),
            (["\u00fca", "a\u00fc"], [("\u00fca", "a\u00fc")]),
            ([bare, true, "x"], [(true, bare)]),
            (["x;blue=true", true], [(true, "x;blue=true")]),
            (["a", "b", "a.b", "A"], []),
            (["a/b", "c/d"], []),
        ]
        for names, expected in cases:
            with self.subTest(names=names):
                self.assertEqual(list(collisions(PATH_NAMES, dict.fromkeys(names))), expected)

    @given(st.sets(identities, max_size=12))
    def test_groups(self, names: set[str]) -> None:
        """Two series are in one group if and only if they have one path."""
        paths: dict[str, set[str]] = {}
        for name in names:
            paths.setdefault(PATH_NAMES.path(name), set()).add(name)
        expected = {frozenset(members) for members in paths.values() if len(members) > 1}
        found = [frozenset(members) for members in collisions(PATH_NAMES, dict.fromkeys(names))]
        self.assertEqual(set(found), expected)
        self.assertEqual(len(found), len(expected))
