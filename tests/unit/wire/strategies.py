"""Lines for property tests: mostly almost right, which is where the difficulties are."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from hypothesis import strategies as st

__all__ = ["good_lines", "lines", "streams"]

_PIECES: Final = [
    *b"a b name : : : | | | c g ms h d s | c | g | ms | s : : 1 : 5 : : +5 : -5 |c |g |ms |s |c|@0.1".split(),
    *b"|@ @0.5 @1e-300 @0 @x 1 0 7 .5 1e3 1e16 9007199254740992 NaN inf 0x10 1_0".split(),
    *b"|# # , ; [ ] = k v k=v k:v ,k=v ;k=v #k=v [k=v] |#k:v |#k".split(),
    *b"_e{ _e{1,1}: t|x _sc| |0 |T17 |c:x |x:y % \xc3\xa9 \xff \xe9 \xd9\xa1".split(),
    *b"#b a[0] #b,k=v ;b [k]x [k=v]x |a |#k=v,##l |#x:1|#y:2 1764298601123456789 1e308 |e:x = ] [".split(),
    *(b" ", b"\t", b"| g", b"| c", b" |", b"|c ", b"\r", b"\x00", b"", b"0" * 8180),
]

_NAMES: Final = st.sampled_from(
    [
        b"a",
        b"b.c",
        b"a,k=v",
        b"b;k=v;l=w",
        b"c#k=v",
        b"d[k=v]e",
        b"a,k",
        b"\xc3\xa9",
        b"p#i",
        b"d[0].e",
        b"f#g,k=v",
        b"e|8",
    ]
)
_NUMBERS: Final = st.one_of(
    st.integers(-1000, 1000).map(lambda number: b"%d" % number),
    st.sampled_from([b"1", b"+2", b"0.5", b"1e3", b"-0", b"007"]),
)
_VALUES: Final = st.lists(_NUMBERS, min_size=1, max_size=3).map(b":".join)
_KINDS: Final = st.sampled_from([b"c", b"g", b"ms", b"h", b"d"])
_RATES: Final = st.sampled_from([b"", b"", b"|@0.5", b"|@0.25", b"|@1", b"|@0"])
_TAGS: Final = st.sampled_from(
    [b"", b"", b"|#", b"|#k=v", b"|##k:v", b"|#k:v|#l:w", b"|#k:v", b"|#bare,k:v", b"|#:v,k:w", b"|c:x", b"|T1"]
)


def good_lines() -> st.SearchStrategy[bytes]:
    """Return lines that mostly are good ones."""
    numeric = st.tuples(_NAMES, st.just(b":"), _VALUES, st.just(b"|"), _KINDS, _RATES, _TAGS).map(b"".join)
    sets = st.tuples(_NAMES, st.just(b":"), st.sampled_from([b"m", b"n:o", b"1"]), st.just(b"|s"), _TAGS)
    return st.one_of(numeric, numeric, sets.map(b"".join))


def lines() -> st.SearchStrategy[bytes]:
    """Return lines of all sorts, without newlines."""
    pieces = st.lists(st.sampled_from(_PIECES), max_size=14).map(b"".join)
    spoilt = st.tuples(good_lines(), st.integers(0, 40), st.sampled_from(_PIECES)).map(_insert)
    special = st.sampled_from([b"_e{1,1}:t|x", b"_sc|n|0", b"_sc|n:m|0|m:x", b"", b"\r", b"x" * 9000])
    rubbish = st.binary(max_size=30).map(lambda data: data.replace(b"\n", b""))
    return st.one_of(good_lines(), spoilt, pieces, special, rubbish)


def streams() -> st.SearchStrategy[list[bytes]]:
    """Return streams of lines, the last one perhaps without its newline, cut into pieces anywhere."""
    whole = st.tuples(st.lists(lines(), max_size=12), st.sampled_from([b"", b"\n"])).map(_joined)
    return st.tuples(whole, st.lists(st.integers(0, 400), max_size=10)).map(_cut)


def _insert(parts: tuple[bytes, int, bytes]) -> bytes:
    line, at, piece = parts
    return line[:at] + piece + line[at:]


def _joined(parts: tuple[list[bytes], bytes]) -> bytes:
    several, end = parts
    return b"\n".join(several) + end


def _cut(parts: tuple[bytes, list[int]]) -> list[bytes]:
    data, cuts = parts
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(places) if begin < end]
