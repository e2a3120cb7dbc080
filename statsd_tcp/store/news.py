"""What the pieces of a commit bring: their intervals, and the counters of which they say the position."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from statsd_tcp.aggregate.interval import Interval, merge
from statsd_tcp.aggregate.numbered import Numbered
from statsd_tcp.flush.counters import Changes
from statsd_tcp.flush.flushes import FlushNews
from statsd_tcp.series.increments import NOTHING, Increments, merged
from statsd_tcp.series.plan import SeriesPlan
from statsd_tcp.series.raw import RawLayer, located
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.book import Book
from statsd_tcp.store.clients import ClientChanges
from statsd_tcp.store.session import Said
from statsd_tcp.store.sessions import Sessions
from statsd_tcp.store.snapshot import Refusal

__all__ = ["News", "flush_news", "take_pieces"]


class News(NamedTuple):
    """What living workers said, added up, and what was read of the journals of others, piece by piece.

    ``known`` is what comes to raw counters in addition to those that ``living`` names, and ``said`` are the numbers
    that stand for these.
    """

    living: Interval
    recovered: Sequence[Interval] = ()
    known: Increments = NOTHING
    said: Sequence[Said] = ()

    def together(self) -> Interval:
        """Return all that comes by name."""
        return merge([*self.recovered, self.living]) if self.recovered else self.living


def take_pieces(
    pieces: Iterable[Piece],
    sessions: Sessions,
    raw: RawLayer,
    book: Book,
    clients: ClientChanges,
    refused: list[Refusal],
) -> News | None:
    """Add what pieces count to a book, and return what else they bring, None if there is nothing.

    ``sessions`` tell what workers say by number, and ``clients`` which batches are in the store. Pieces that do not
    begin where their ledger is committed are ``refused``.
    """
    living: list[Interval] = []
    recovered: list[Interval] = []
    known: list[Increments] = []
    saids: list[Said] = []
    for piece in map(sessions.opened, pieces):
        interval, session = piece.interval or Interval(), piece.session
        refusal = book.take_interval(piece, interval)
        if refusal is not None:
            refused.append(refusal)
            continue
        batches = _take_batches(piece, book, clients)
        if piece.recovered:
            recovered.append(merge([interval, *batches]) if batches else interval)
            continue
        living += batches
        if session is None:
            living.append(interval)
        else:
            increments, named, said = session.take(interval.numbered, raw.columns)
            living.append(msgspec.structs.replace(interval, counters=named, numbered=Numbered()))
            known.append(increments)
            saids.append(said)
    if not (living or recovered):
        return None
    return News(living[0] if len(living) == 1 else merge(living), recovered, merged(known), saids)


def _take_batches(piece: Piece, book: Book, clients: ClientChanges) -> list[Interval]:
    """Count the batches of a piece, and return those that are not in the store."""
    book.take_refused(piece.batches.refused)
    taken: list[Interval] = []
    for batch, interval in zip(piece.batches.sums, piece.batch_intervals, strict=True):
        is_new = clients.is_new(batch.key)
        book.take_batch(batch, is_new=is_new)
        if is_new:
            book.add_interval(interval, recovered=piece.recovered)
            taken.append(interval)
    return taken


def flush_news(raw: RawLayer, plan: SeriesPlan, news: News, *, whole: bool) -> tuple[FlushNews, list[FlushNews]]:
    """Return what comes to flushes: of living workers, and of the journals of others. ``plan`` is for raw counters.

    ``whole`` says that the plan has all counters that came.
    """
    recovered = [FlushNews(each, _changes(raw, plan, NOTHING, each, named=True)) for each in news.recovered]
    named = bool(recovered or not (whole and raw.is_shared))
    known = news.known if named or not plan.numbers else Increments(plan.positions, plan.numbers[0])
    return FlushNews(news.living, _changes(raw, plan, known, news.living, named=named)), recovered


def _changes(raw: RawLayer, plan: SeriesPlan, known: Increments, interval: Interval, *, named: bool) -> Changes:
    columns, fresh = raw.columns, plan.fresh
    found = located(columns, fresh, known, interval.counters if named else {}, interval.falls)
    ids = columns.ids.take(found.positions, mode="clip")
    if len(fresh.positions):
        new = np.isin(found.positions, fresh.positions, assume_unique=True)
        ids[new] = fresh.ids[fresh.positions.searchsorted(found.positions[new])]
    return Changes(found.positions, ids, found.amounts)
