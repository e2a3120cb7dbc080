"""Series as people write them, and the patterns that mean several."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.notation import as_text, matching
from statsd_tcp.wire.series import series_identity

PLAIN = "a.b"
TAGGED = series_identity("a.b", [("k", "v"), ("bare", "")])
DEEPER = "a.b.c"
OTHER = "ab"
ODD = "a b;c"
ALL = (PLAIN, TAGGED, DEEPER, OTHER, ODD)

_word = st.text(st.characters(blacklist_characters="\n;="), min_size=1, max_size=4)


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
        self.assertEqual({identity}, matching(as_text(identity), {identity: 1}))


class MatchingTests(SynchronousTestCase):
    """Which series a pattern means."""

    def check(self, pattern: str, *expected: str) -> None:
        """Compare what is found among all."""
        self.assertEqual(set(expected), matching(pattern, ALL), pattern)

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
