"""Lines made by chance: good ones of few series, which meet again, and bad ones."""

from __future__ import annotations

import random

__all__ = ["chunk_of", "line", "many_series", "pieces_of"]

_NAMES = (b"a", b"b", b"api.requests", b"a" * 16, b"x;k=v", b"y,k=v,l=w", b"\xc3\xa9", b"n" * 90)
_KINDS = (b"c", b"c", b"c", b"ms", b"h", b"d", b"g", b"s", b"?", b"")
_MORE = (b"", b"", b"", b"|@0.5", b"|@0.25", b"|#t:u", b"|#t:u,v|@0.125", b"\r", b"|@", b"|@2", b"|")
_ODD = (b"", b".5", b"1.", b"1.2.3", b"+4", b"-3", b"1e3", b"1e400", b"nan", b"inf", b"0x1", b"1_0", b" 1", b"\xb2")


def _number(source: random.Random, exact: bool) -> bytes:
    """Return a number, or something odd. Sums of ``exact`` ones are the same in whatever order they are added up."""
    kind = source.randrange(10)
    if kind == 0:
        return source.choice(_ODD)
    if kind == 1:
        return b"%d" % source.randrange(10 ** source.randrange(1, 12 if exact else 19))
    if kind == 2:
        return b"%d.%s" % (source.randrange(1000), source.choice((b"0", b"5", b"25", b"125", b"50000000000")))
    if kind == 3 and not exact:
        return b"%d.%0*d" % (source.randrange(10**5), source.randrange(1, 15), source.randrange(10**9))
    return b"%d" % source.randrange(100)


def line(source: random.Random, *, exact: bool = True) -> bytes:
    """Return a line without its newline."""
    kind = source.randrange(30)
    if kind == 0:
        return source.choice((b"", b"\r", b"junk", b"_e{1,1}:a|b", b"_sc|a|0", b":", b"|", b"a:1", b"a:1|c:2|c"))
    if kind == 1:
        return source.randbytes(source.randrange(40)).replace(b"\n", b"")
    values = b":".join(_number(source, exact) for _ in range(source.choice((1, 1, 1, 1, 3))))
    name, more = source.choice(_NAMES), source.choice(_MORE)
    if not exact and not source.randrange(8):
        # About as long as the longest that the sums in C know.
        name = source.choice((b"x" * source.randrange(490, 520), b"x" * source.randrange(20)))
        more = source.choice((b"|@0.3", b"|@0.1", b"|@1e-9", b"|@0.7|#t", more))
    return b"%s:%s|%s%s" % (name, values, source.choice(_KINDS), more)


def chunk_of(source: random.Random, size: int, *, exact: bool = True) -> bytes:
    """Return whole lines of about ``size`` bytes, at least one."""
    lines = []
    while size >= 0:
        lines.append(line(source, exact=exact) + b"\n")
        size -= len(lines[-1])
        if not source.randrange(3):
            more = lines[-1:] * source.randrange(1, 1 + max(1, min(100, size // len(lines[-1]))))
            lines += more
            size -= sum(map(len, more))
    return b"".join(lines)


def many_series(source: random.Random) -> bytes:
    """Return lines of more series than a table starts with."""
    kinds = source.sample((b"c", b"ms", b"h", b"c|@0.1"), 2)
    first, number = source.randrange(1000), source.randrange(1, 1500)
    return b"".join(b"m%d:%d|%s\n" % (name, name % 7, source.choice(kinds)) for name in range(first, first + number))


def pieces_of(source: random.Random, data: bytes) -> list[bytes]:
    """Return data in pieces: single bytes, a few, many, or all at once."""
    pieces = []
    while data:
        size = source.choice((1, 2, source.randrange(1, 100), source.randrange(1, 70_000), len(data)))
        pieces.append(data[:size])
        data = data[size:]
        if len(pieces) > 30:
            pieces.append(data)
            break
    return [piece for piece in pieces if piece]
