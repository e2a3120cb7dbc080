"""Which series Graphite can tell apart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.collisions import collisions
from statsd_tcp.outputs.graphite_paths import PATH_NAMES
from statsd_tcp.wire.series import series_identity

_TEXT = st.text("ab/- _;=ü", min_size=1, max_size=3)
identities = st.builds(
    lambda name, tags: series_identity(name, list(tags.items())),
    _TEXT,
    st.dictionaries(_TEXT, st.text("ab/ =", max_size=2), max_size=2),
)


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
