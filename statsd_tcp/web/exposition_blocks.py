"""The rows of one kind of series in blocks: one that comes or goes changes the block in which it belongs, and no other.

A row is a line of counters or gauges, or the lines of a summary or histogram. Rows are in the order of two ids: that of
the first series of the family, then their own. Blocks are replaced, never changed, so that a layout that has them stays
what it is.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableSequence, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["MOST_ROWS", "Block", "Key", "Row", "Rows"]

MOST_ROWS = 1000
"""Rows of a block. They are written in one go: no other thread runs meanwhile, for about half a millisecond."""

_FEW = 16
"""Changes of a block that are made one by one."""

Key = tuple[int, int]
"""The id of the family's first series, and the row's own, which is that of the first series in it."""

Row = tuple[int, int, int, str]
"""A key, the position of the row's first series in its table, and what stays the same from scrape to scrape."""


class Block:
    """Rows in columns. ``shared`` has all positions of each row that several series have, by its place here."""

    __slots__ = ("firsts", "ids", "positions", "shared", "texts")

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        firsts, ids, positions, texts = zip(*rows, strict=True) if rows else ((), (), (), ())
        self.firsts = array("q", firsts)
        self.ids = array("q", ids)
        self.positions = array("q", positions)
        self.texts = list(texts)
        self.shared: Mapping[int, Sequence[int]] = {}

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.ids)

    def rows(self) -> Iterator[Row]:
        """Return the rows in their order."""
        return zip(self.firsts, self.ids, self.positions, self.texts, strict=True)

    def place(self, key: Key) -> int:
        """Return where a row is, or would be."""
        first, own = key
        return bisect_left(self.ids, own, *self.span(first))

    def span(self, first: int) -> tuple[int, int]:
        """Return between which places the rows of a family are."""
        start = bisect_left(self.firsts, first)
        return start, bisect_right(self.firsts, first, start)

    def renamed(self, start: int, end: int, heir: int) -> Block:
        """Return the same rows, some of which have another first series."""
        block = Block()
        block.firsts = self.firsts[:start] + array("q", [heir]) * (end - start) + self.firsts[end:]
        block.ids, block.positions, block.texts, block.shared = self.ids, self.positions, self.texts, self.shared
        return block

    def edited(self, gone: Collection[Key], come: Sequence[Row]) -> Sequence[Block]:
        """Return blocks without some of the rows, and with others."""
        if len(gone) + len(come) <= _FEW and len(self) + len(come) <= MOST_ROWS:
            return [self._edited(gone, come)]
        stay = [row for row in self.rows() if row[:2] not in gone] if gone else self.rows()
        rows = sorted([*stay, *come])
        number = -(-len(rows) // MOST_ROWS)
        cuts = [len(rows) * each // number for each in range(number + 1)] if number else [0]
        return [Block(rows[start:end]) for start, end in pairwise(cuts)]

    def _edited(self, gone: Iterable[Key], come: Iterable[Row]) -> Block:
        block = Block()
        block.firsts, block.ids, block.positions = self.firsts[:], self.ids[:], self.positions[:]
        block.texts = self.texts[:]
        columns: Sequence[MutableSequence[Any]] = (block.firsts, block.ids, block.positions, block.texts)
        for key in gone:
            place = block.place(key)
            for column in columns:
                del column[place]
        for row in come:
            place = block.place(row[:2])
            for column, value in zip(columns, row, strict=True):
                column.insert(place, value)
        return block


class Rows:
    """All rows of one kind. ``followers`` has the positions of further series of a row, by its id."""

    def __init__(self) -> None:
        self.blocks: Sequence[Block] = ()
        self.followers: dict[int, array[int]] = {}
        self._starts: list[Key] = []

    def of_family(self, first: int) -> Iterator[Row]:
        """Return the rows of the family with that first series."""
        for block in self.blocks[self._at((first, 0)) :]:
            start, end = block.span(first)
            columns = (block.firsts, block.ids, block.positions, block.texts)
            yield from zip(*(column[start:end] for column in columns), strict=True)
            if end < len(block):
                return

    def rename(self, first: int, heir: int) -> bool:
        """Set another first series of a family, if that leaves it in its place; return whether it does."""
        blocks = list(self.blocks)
        for at in range(self._at((first, 0)), len(blocks)):
            start, end = blocks[at].span(first)
            if end < len(blocks[at]) and blocks[at].firsts[end] < heir:
                return False
            if start < end:
                blocks[at] = blocks[at].renamed(start, end, heir)
            if end < len(blocks[at]):
                break
        self._take(blocks)
        return True

    def edit(self, gone: Iterable[Key], come: Iterable[Row], touched: Iterable[Key]) -> None:
        """Take rows away, then put others in; those that are touched have got other followers."""
        edits: dict[int, tuple[set[Key], list[Row]]] = {}
        for key in touched:
            edits.setdefault(self._at(key), (set(), []))
        for key in gone:
            edits.setdefault(self._at(key), (set(), []))[0].add(key)
        for row in come:
            edits.setdefault(self._at(row[:2]), (set(), []))[1].append(row)
        if edits:
            self._take(self._edited(edits))

    def _take(self, blocks: Sequence[Block]) -> None:
        self.blocks = blocks
        self._starts = [(block.firsts[0], block.ids[0]) for block in blocks]

    def _at(self, key: Key) -> int:
        return max(bisect_right(self._starts, key) - 1, 0)

    def _edited(self, edits: Mapping[int, tuple[Collection[Key], Sequence[Row]]]) -> Sequence[Block]:
        blocks: list[Block] = []
        last = 0
        for at, (gone, come) in sorted(edits.items()):
            blocks += self.blocks[last:at]
            block = self.blocks[at] if at < len(self.blocks) else Block()
            for each in filter(None, block.edited(gone, come)):
                if blocks and len(blocks[-1]) + len(each) <= MOST_ROWS // 2:
                    blocks[-1:] = blocks[-1].edited((), list(each.rows()))
                else:
                    blocks.append(each)
                blocks[-1].shared = self._shared(blocks[-1])
            last = at + 1
        blocks += self.blocks[last:]
        return blocks

    def _shared(self, block: Block) -> Mapping[int, Sequence[int]]:
        if not self.followers or self.followers.keys().isdisjoint(block.ids):
            return {}
        places = (place for place, each in enumerate(block.ids) if each in self.followers)
        return {place: (block.positions[place], *self.followers[block.ids[place]]) for place in places}
