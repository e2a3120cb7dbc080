"""Tests of grammars and their names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.grammar import (
    DIALECTS,
    LONGEST_LINE,
    TAG_STYLES,
    Dialect,
    Grammar,
    TagStyle,
    named,
    write_name,
)


class GrammarTests(SynchronousTestCase):
    """Settings of a listener."""

    def test_dialects(self) -> None:
        """The default is etsy's; without another word a grammar is that."""
        self.assertEqual(sorted(DIALECTS), ["dogstatsd", "etsy", "statsd_exporter"])
        self.assertEqual(DIALECTS["etsy"], Grammar())

    def test_equal_grammars_share(self) -> None:
        """Equal grammars are one key of a dictionary, different ones are two."""
        self.assertEqual(len({Grammar(), Grammar(), Grammar(tags=frozenset())}), 2)


class NameTests(SynchronousTestCase):
    """A grammar is written into a ledger as one word, and read from it."""

    def test_dialect(self) -> None:
        """The name of a dialect is its name."""
        for dialect, grammar in DIALECTS.items():
            self.assertEqual(write_name(dialect, max_line=grammar.max_line), dialect)
            self.assertEqual(named(dialect), grammar)

    @given(
        st.sampled_from(tuple(DIALECTS)),
        st.none() | st.frozensets(st.sampled_from(TAG_STYLES)),
        st.none() | st.booleans(),
        st.integers(64, LONGEST_LINE),
    )
    def test_round_trip(
        self, dialect: Dialect, tags: frozenset[TagStyle] | None, container: bool | None, max_line: int
    ) -> None:
        """What a listener changes of its dialect is in the name."""
        grammar = named(write_name(dialect, tags, container=container, max_line=max_line))
        of = DIALECTS[dialect]
        self.assertEqual(grammar.tags, of.tags if tags is None else tags)
        self.assertEqual(grammar.container, of.container if container is None else container)
        self.assertEqual((grammar.max_line, grammar.packed), (max_line, of.packed))

    def test_unknown(self) -> None:
        """A name of a later version is not taken for another."""
        for name in ("klingon", "etsy:packed=all"):
            self.assertRaises(KeyError, named, name)
