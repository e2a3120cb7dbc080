"""The pages of the store's file: the columns of 4,096 positions each, as they were after some row.

    page of numbers    the columns of numbers one after the other, updated, lasting (a byte each)
    page of names      msgpack: [ids (64 bits each), identities (empty where the id is 0)]

A page has the number of the last row that is in it. What came later is added when the file is loaded, so a page need
not be written with each commit:

    rows     .. 41 42 43 44 45 46
    pages    a: 46, b: 43, c: 44 and nothing came since    44 to 46 are still needed, for b
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.plan import Positions, SeriesPlan

__all__ = [
    "NAMES",
    "NUMBERS",
    "PAGE",
    "PageKey",
    "pages_of",
    "read_names",
    "read_numbers",
    "write_names",
    "write_numbers",
]

PAGE: Final = 4096

NUMBERS: Final = "numbers"
NAMES: Final = "names"


class PageKey(NamedTuple):
    """Which page: the kind of its series, what it has of them, and its place."""

    kind: str
    what: str
    number: int


class _Names(msgspec.Struct, array_like=True):
    """What a page of names has."""

    ids: bytes
    identities: list[str]


_names_encoder: Final = msgspec.msgpack.Encoder()
_names_decoder: Final = msgspec.msgpack.Decoder(_Names)


def pages_of(positions: Positions) -> list[int]:
    """Return the numbers of the pages that some positions are in."""
    result: list[int] = np.flatnonzero(np.bincount(positions // PAGE)).tolist()
    return result


def write_numbers(columns: SeriesColumns, number: int, plan: SeriesPlan, now: float) -> bytes:
    """Return a page of numbers as it will be when a plan was done."""
    first, last = _bounds(columns, number, plan)
    here = _slice(plan.positions, first, last)
    places = plan.positions[here] - first
    pages = [_page(column, first, last) for column in (*columns.numbers, columns.updated)]
    for page, numbers in zip(pages, plan.after, strict=False):
        page[places] = numbers[here]
    if len(plan.emptied):
        pages[0][plan.emptied[_slice(plan.emptied, first, last)] - first] = 0.0
    lasting = _page(columns.lasting, first, last)
    if len(places):
        pages[-1][places] = now
        lasting[places] = True
        lasting[plan.fresh.positions[_slice(plan.fresh.positions, first, last)] - first] = False
    return b"".join([*(page.tobytes() for page in pages), lasting.tobytes()])


def read_numbers(columns: SeriesColumns, number: int, content: memoryview) -> None:
    """Put a page of numbers into the columns; raises `LookupError` if it cannot be one."""
    fields = [*columns.numbers, columns.updated]
    length, rest = divmod(len(content), 8 * len(fields) + 1)
    if rest or length > PAGE:
        raise LookupError(f"a page of numbers has {len(content)} bytes")
    first = PAGE * number
    columns.make_room(first + length)
    for place, column in enumerate([*columns.numbers, columns.updated]):
        column[first : first + length] = np.frombuffer(content, np.float64, length, 8 * length * place)
    columns.lasting[first : first + length] = np.frombuffer(content, np.bool_, length, 8 * length * len(fields))


def write_names(columns: SeriesColumns, number: int, plan: SeriesPlan) -> bytes:
    """Return a page of names as it will be when a plan was done."""
    first, last = _bounds(columns, number, plan)
    ids = _page(columns.ids, first, last)
    identities = columns.identities[first:last]
    identities += [""] * (last - first - len(identities))
    gone = plan.expired[_slice(plan.expired, first, last)] - first
    ids[gone] = 0
    for place in gone.tolist():
        identities[place] = ""
    new = _slice(plan.fresh.positions, first, last)
    places = plan.fresh.positions[new] - first
    ids[places] = plan.fresh.ids[new]
    for place, identity in zip(places.tolist(), plan.fresh.identities[new], strict=True):
        identities[place] = identity
    return _names_encoder.encode(_Names(ids.tobytes(), identities))


def read_names(columns: SeriesColumns, identities: list[str], number: int, content: memoryview) -> None:
    """Put a page of names into the columns and the list of all identities; raises `LookupError` if it cannot be one."""
    found = _names_decoder.decode(content)
    ids = np.frombuffer(found.ids, np.int64)
    if len(ids) != len(found.identities) or len(ids) > PAGE:
        raise LookupError(f"a page of names has {len(ids)} ids and {len(found.identities)} names")
    first = PAGE * number
    columns.make_room(first + len(ids))
    columns.ids[first : first + len(ids)] = ids
    identities.extend([""] * (first + len(ids) - len(identities)))
    identities[first : first + len(ids)] = found.identities


def top_after(columns: SeriesColumns, plan: SeriesPlan) -> int:
    """Return the position after the last one when the plan is carried out."""
    return max(columns.top, int(plan.fresh.positions.max(initial=-1)) + 1)


def _bounds(columns: SeriesColumns, number: int, plan: SeriesPlan) -> tuple[int, int]:
    """Return where a page begins and ends. It is empty if the names of all that was in it, and after it, are lost."""
    first = PAGE * number
    return first, max(first, min(first + PAGE, top_after(columns, plan)))


def _page(column: npt.NDArray[np.generic], first: int, last: int) -> npt.NDArray[np.generic]:
    page = np.zeros(last - first, column.dtype)
    there = column[first:last]
    page[: len(there)] = there
    return page


def _slice(positions: Positions, first: int, last: int) -> slice:
    """Return which of some positions, in order, are between two."""
    begin, end = positions.searchsorted((first, last)).tolist()
    return slice(begin, end)
