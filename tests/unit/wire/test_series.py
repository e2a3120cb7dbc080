"""Tests of the identity of a series."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.series import series_identity, split_identity

WORDS = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=5)
TAGS = st.lists(st.tuples(WORDS.filter(bool), WORDS), max_size=5)


class SeriesIdentityTests(SynchronousTestCase):
    """Names and tags in one string."""

    def test_form(self) -> None:
        """The identity is the name, then each tag's key and value, separated by newlines."""
        self.assertEqual(series_identity("a"), "a")
        self.assertEqual(series_identity("a", [("k", "v"), ("bare", "")]), "a\nbare\n\nk\nv")

    def test_last_wins(self) -> None:
        """Of a repeated key the last one counts."""
        self.assertEqual(series_identity("a", [("k", "v"), ("k", "w")]), "a\nk\nw")

    def test_split(self) -> None:
        """It comes apart again."""
        self.assertEqual(split_identity("a"), ("a", ()))
        self.assertEqual(split_identity("a\nbare\n\nk\nv"), ("a", (("bare", ""), ("k", "v"))))

    @given(WORDS, TAGS)
    def test_round_trip(self, name: str, tags: list[tuple[str, str]]) -> None:
        """Every name and all tags come back, in the order of the keys."""
        self.assertEqual(split_identity(series_identity(name, tags)), (name, tuple(sorted(dict(tags).items()))))

    @given(WORDS, TAGS, st.randoms())
    def test_order(self, name: str, tags: list[tuple[str, str]], random: Random) -> None:
        """The order of different tags makes no difference."""
        unique = list(dict(tags).items())
        shuffled = unique.copy()
        random.shuffle(shuffled)
        self.assertEqual(series_identity(name, unique), series_identity(name, shuffled))
