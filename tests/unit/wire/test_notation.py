"""Series as people write them, and the patterns that mean several."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.notation import Patterns, as_text
from statsd_tcp.wire.series import series_identity

PLAIN = "a.b"
TAGGED = series_identity("a.b", [("k", "v"), ("bare", "")])
DEEPER = "a.b.c"
OTHER = "ab"
ODD = "a b;c"
ALL = (PLAIN, TAGGED, DEEPER, OTHER, ODD)

_word = st.text(st.characters(blacklist_characters="\n;="), min_size=1, max_size=4)


_name = st.text("ab.;\n", max_size=6)
_pattern = st.one_of(_name, _name.map(lambda name: name + ".*"), _name.map(lambda name: name + ";*"))


class WrittenTests(SynchronousTestCase):
    """Names and tags in one text."""

    def test_written(self) -> None:
        """Tags follow the name in the order of their keys, and bare ones have no equals sign."""
        self.assertEqual("a.b", as_text(PLAIN))
        self.assertEqual("a.b;bare;k=v", as_text(TAGGED))

    @given(_word, st.dictionaries(_word, _word))
    def test_found_again(self, name: str, tags: dict[str, str]) -> None:
        """Whatever is as_text means the series that it was as_text from."""
        identity = series_identity(name, list(tags.items()))
        self.assertEqual(0, Patterns([as_text(identity)]).first(identity))


class MatchingTests(SynchronousTestCase):
    """Which series a pattern means."""

    def check(self, pattern: str, *expected: str) -> None:
        """Compare what is found among all."""
        patterns = Patterns([pattern])
        self.assertEqual(set(expected), {identity for identity in ALL if patterns.first(identity) == 0}, pattern)

    def test_exact(self) -> None:
        """A name means the series of that name without tags, whatever characters it has."""
        self.check("a.b", PLAIN)
        self.check("a b;c", ODD)
        self.check("nothing")

    def test_tags_in_any_order(self) -> None:
        """A series with tags is found however the tags are ordered."""
        self.check("a.b;k=v;bare", TAGGED)
        self.check("a.b;bare;k=v", TAGGED)
        self.check("a.b;k=v")

    def test_folder(self) -> None:
        """A folder means all that is below it, and not what is called like the folder itself."""
        self.check("a.*", PLAIN, TAGGED, DEEPER)
        self.check("a.b.*", DEEPER)
        self.check("*")
        self.check(".*")

    def test_all_tags(self) -> None:
        """All series of a name that have tags can be meant at once."""
        self.check("a.b;*", TAGGED)

    def test_several(self) -> None:
        """Of several patterns that mean a series the first counts, whatever kind it is of."""
        for patterns, number in (
            (["x", "a.b.c", "a.*"], 1),
            (["a.*", "a.b.c"], 0),
            (["a.b.*", "a.*"], 0),
            (["a.*", "a.b.*"], 0),
            (["a.b;*", "a.b.c", "a.b.c"], 1),
        ):
            self.assertEqual(number, Patterns(patterns).first(DEEPER), patterns)
        self.assertIsNone(Patterns([]).first(DEEPER))

    @given(st.lists(_pattern), st.lists(_name))
    def test_one_by_one(self, patterns: list[str], names: list[str]) -> None:
        """Patterns looked up together give what the first that fits alone would."""
        together = Patterns(patterns)
        alone = [Patterns([pattern]) for pattern in patterns]
        for name in names:
            expected = next((number for number, one in enumerate(alone) if one.first(name) == 0), None)
            self.assertEqual(expected, together.first(name))
