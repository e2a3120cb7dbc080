"""What a value, a name, a tag or a member costs that was chosen to be expensive, and ordinary ones of the same size.

Chosen values meet in a dictionary of Python's: the row "a dictionary" shows that they do, and what it would cost.
Chosen texts are made of blocks that met in an earlier hash of the part in C, whatever its seed. Each step takes all of
them: the tally in C and in Python (which is also how journals are read), decoding, and a store with a flush that ends.
Times are CPU time for each, the best of some rounds. The status is 1 when a ratio is above 3.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import random
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.micro.tally import cut
from statsd_tcp import native
from statsd_tcp.aggregate.encoding import decode, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.sums import new_sums
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.ledger.layout import LedgerCounts
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.wire.grammar import Grammar

MOST = 3.0
BLOCKS = (b"aaaaaaaaaaaaaaaa", b"aaaaaaa!aaaacaa!")
TIMERS = 16
CHUNK = 1 << 16


@cache
def chosen_values(number: int) -> list[bytes]:
    """Numbers that collide in a dictionary of this many.

    A dictionary looks for a free place at ``5 * place + 1 + perturb``, where ``perturb`` is the hash without its lowest
    5 bits, then without 10, and so on. Whole numbers, which are their own hashes, take the places of that walk without
    ``perturb``. The others, chosen bit by bit, meet them at each of their own first places, then follow the walk.
    """
    mask = (1 << (number * 3 // 2).bit_length()) - 1
    walk = [0]
    while len(walk) < number:
        walk.append(5 * walk[-1] + 1 & mask)
    whole = number * 2 // 3
    values, taken, pick = [b"%d" % place for place in walk[:whole]], set(walk[:whole]), random.Random(1)
    found: set[int] = set()
    for place in walk[whole:]:
        while (meeting := _meeting(mask, taken, pick)) in found:
            pass
        found.add(meeting)
        # A float times 2**-61 has the same hash.
        values.append(repr(meeting / 2**61).encode())
        taken.add(place)
    return values


def _meeting(mask: int, taken: set[int], pick: random.Random) -> int:
    bits = mask.bit_length()
    while True:
        found = place = 0
        for step in range(1, 6 + -(-bits // 5)):
            new = pick.sample(range(32), 32) if step <= 5 else [0]
            for five in new:
                longer = found | five << bits + 5 * (step - 1)
                there = 5 * place + 1 + (longer >> 5 * step) & mask
                if there in taken:
                    found, place = longer, there
                    break
            else:
                break
        else:
            return found


def ordinary_values(number: int) -> list[bytes]:
    """Whole numbers, and half as many fractions."""
    pick = random.Random(1)
    whole = number * 2 // 3
    return [b"%d" % pick.randrange(2 * number) for _ in range(whole)] + [
        repr(pick.random() / 2**20).encode() for _ in range(number - whole)
    ]


def chosen_texts(number: int) -> list[bytes]:
    """Texts of the same length that met in one place."""
    length = (number - 1).bit_length()
    return [b"".join(each) for each in itertools.islice(itertools.product(BLOCKS, repeat=length), number)]


def ordinary_texts(number: int) -> list[bytes]:
    """Random texts of the same length."""
    pick = random.Random(1)
    length = len(chosen_texts(number)[0])
    return [bytes(pick.choices(b"abcdefghijklmnopqrstuvwxyz", k=length)) for _ in range(number)]


Lines = Callable[[list[bytes]], list[bytes]]

KINDS: dict[str, tuple[Callable[[int], list[bytes]], Callable[[int], list[bytes]], Lines]] = {
    "values": (
        ordinary_values,
        chosen_values,
        lambda values: [b"app.t%d:%s|ms" % (at % TIMERS, value) for at, value in enumerate(values)],
    ),
    "names": (ordinary_texts, chosen_texts, lambda texts: [b"%s:1|c" % text for text in texts]),
    "tags": (ordinary_texts, chosen_texts, lambda texts: [b"app.hits:1|c|#page:%s" % text for text in texts]),
    "members": (ordinary_texts, chosen_texts, lambda texts: [b"app.users:%s|s" % text for text in texts]),
}


def tally_of(chunks: list[bytes], *, in_c: bool) -> Interval:
    """Count all of it twice, so that shapes are known."""
    tally = Tally([("tcp", Grammar())], new_sums=partial(new_sums, random.getrandbits(64)) if in_c else None)
    for _ in range(2):
        for tick, chunk in enumerate(chunks):
            tally.add(0, chunk, tick)
        interval = tally.take()
    return interval


def store_of(payload: bytes) -> None:
    """Commit it, and end the flush."""
    now = 1_700_000_000.0
    rules = FlushRules(seconds=10, outputs=("one",))
    with TemporaryDirectory() as folder:
        store = Store(Path(folder) / "totals", flushes=rules, wall=lambda: now, monotonic=lambda: now)
        store.commit(CommitBatch(counts=[LedgerCounts("L", 0, "boot", {})], pieces=[Piece("L", 0, 8, payload)]))
        now += 11
        store.commit(CommitBatch())
        store.close()


def cpu(work: Callable[[], object], rounds: int) -> float:
    """The CPU seconds of the best round."""

    def once() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    return min(once() for _ in range(rounds))


def steps(lines: list[bytes], rounds: int) -> dict[str, float]:
    """What each step takes for all of the lines, in CPU seconds."""
    chunks = cut(lines, CHUNK)
    payload = encode(tally_of(chunks, in_c=False))
    found = {"tally in Python": cpu(partial(tally_of, chunks, in_c=False), rounds)}
    if native.BUILT:
        found["tally in C"] = cpu(partial(tally_of, chunks, in_c=True), rounds)
    found["decode"] = cpu(lambda: decode(payload), rounds)
    found["store"] = cpu(lambda: store_of(payload), rounds)
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--number", type=int, default=16_384, help="of each kind (default 16384)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the best counts (default 5)")


def run(options: argparse.Namespace) -> int:
    """Measure and print a table; the status is 1 when something chosen costs too much."""
    number, rounds, worst = options.number, options.rounds, 0.0
    print(f"Python {platform.python_version()}, {number} of each kind")
    print(f"{'':10}{'':18}{'ordinary ns':>12}{'chosen ns':>12}{'ratio':>8}")

    def show(kind: str, step: str, ordinary: float, chosen: float) -> None:
        print(
            f"{kind:10}{step:18}{ordinary / number * 1e9:12.0f}{chosen / number * 1e9:12.0f}{chosen / ordinary:8.2f}",
            flush=True,
        )

    for kind, (ordinary, chosen, lines) in KINDS.items():
        one, other = (steps(lines(make(number)), rounds) for make in (ordinary, chosen))
        for step, seconds in one.items():
            show(kind, step, seconds, other[step])
            worst = max(worst, other[step] / seconds)
    tables = [[float(value) for value in make(number)] for make in (ordinary_values, chosen_values)]
    show("(values)", "a dictionary", *(cpu(partial(dict.fromkeys, values), 1) for values in tables))
    return int(worst > MOST)
