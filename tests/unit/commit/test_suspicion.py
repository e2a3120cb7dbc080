"""How the frame that ends its readers is found: always, with few deaths, and at the cost of that frame alone."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.children import Ending
from statsd_tcp.commit.replay_process import NO_MEMORY, ReadRequest
from statsd_tcp.commit.suspicion import Death, cause_of, next_request, suspect_after
from statsd_tcp.ledger.suspect import pack_suspect, unpack_suspect

FRAME = 48


def read_all(frames: int, deadly: set[int], slow: set[int], whims: list[int]) -> tuple[list[int], int]:
    """Read a journal of frames of which some end their reader; return which were skipped, and the number of deaths.

    ``whims`` are frames at which a reader dies once, of nothing.
    """
    cell, start, skipped, deaths = 0, 0, list[int](), 0
    while start < frames * FRAME:
        suspect = unpack_suspect(cell, start)
        request = next_request("x", start, None, suspect)
        end, death = _piece(request, frames, deadly, slow, whims)
        if death is None:
            if request.mode == "skip":
                skipped.append(start // FRAME)
            assert end > start
            start = end
            continue
        deaths += 1
        found = suspect_after(request, death, suspect)
        assert found is not None
        cell = pack_suspect(found)
    return skipped, deaths


def _piece(
    request: ReadRequest, frames: int, deadly: set[int], slow: set[int], whims: list[int]
) -> tuple[int, Death | None]:
    stop = request.start + 20 * FRAME if request.stop is None else request.stop
    for number in range(request.start // FRAME, frames):
        end = (number + 1) * FRAME
        if request.mode == "skip":
            return end, None
        whim = whims.pop(0) if whims and whims[0] == number else None
        if number in deadly | slow or whim is not None:
            return 0, Death(
                number * FRAME if request.mode == "careful" else None, "time" if number in slow else "frame"
            )
        if end >= stop:
            return end, None
    return frames * FRAME, None


class SuspicionTests(SynchronousTestCase):
    """Journals that are read to their end."""

    def test_harmless(self) -> None:
        """A journal without a deadly frame is read without a death."""
        self.assertEqual(([], 0), read_all(100, set(), set(), []))

    def test_one(self) -> None:
        """A frame that ends its readers is skipped after it has ended two by itself."""
        self.assertEqual(([31], 3), read_all(100, {31}, set(), []))

    def test_slow(self) -> None:
        """One that used up its time once in careful reading is not tried again."""
        self.assertEqual(([31], 2), read_all(100, set(), {31}, []))

    def test_died_once(self) -> None:
        """A reader that dies of nothing costs no frame."""
        self.assertEqual(([], 1), read_all(100, set(), set(), [50]))

    @given(st.sets(st.integers(0, 99), max_size=8), st.sets(st.integers(0, 99), max_size=3))
    def test_any(self, deadly: set[int], slow: set[int]) -> None:
        """Whatever frames are deadly, they are skipped and no other, each after three deaths at most."""
        skipped, deaths = read_all(100, deadly, slow, [])
        self.assertEqual(sorted(deadly | slow), skipped)
        self.assertLessEqual(deaths, 3 * len(deadly | slow))


class CauseTests(SynchronousTestCase):
    """What a process ended of."""

    def test_the_frame(self) -> None:
        """What only its own doing brings is the frame's fault, and so is an end without a result."""
        for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE):
            self.assertEqual("frame", cause_of(Ending(signal=number)))
        self.assertEqual("frame", cause_of(Ending(status=1)))
        self.assertEqual("time", cause_of(Ending(signal=signal.SIGPROF)))

    def test_others(self) -> None:
        """What other processes do, or what memory that is short does, is not."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1):
            self.assertEqual("outside", cause_of(Ending(signal=number)))
        self.assertEqual("outside", cause_of(Ending()))
        self.assertEqual("memory", cause_of(Ending(signal=signal.SIGKILL)))
        self.assertEqual("memory", cause_of(Ending(status=NO_MEMORY)))

    def test_what_it_says(self) -> None:
        """Only the frame's own fault makes it a suspect; without memory a piece is read frame by frame at most."""
        careful = ReadRequest("x", 0, mode="careful")
        self.assertEqual(None, suspect_after(careful, Death(48, "outside"), None))
        self.assertEqual(None, suspect_after(careful, Death(48, "memory"), None))
        self.assertEqual(None, suspect_after(ReadRequest("x", 0), Death(None, "outside"), None))
        self.assertEqual((0, 0), suspect_after(ReadRequest("x", 0), Death(None, "memory"), None))
        self.assertEqual((48, 1), suspect_after(careful, Death(48, "frame"), None))
