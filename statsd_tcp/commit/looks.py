"""Whether a process that reads a journal hangs: it waits for something that is neither the processor nor the disk.

A frame that keeps its reader from going on without using the processor is at fault like one that uses too much of it.
But a machine may be busy, a disk slow, and a process stopped from outside, and no frame is at fault then:

state of the process            what a look makes of it
S, and nothing new is said      one more: at `MOST_LOOKS` without a break it hangs
R                               nothing: it waits for the processor, or has it, which the kernel limits
D, T and all others             it starts again; also when it has said something, or waited for the disk since

The looks also start again when we are late ourselves: the whole machine may have stood still.
"""

from __future__ import annotations

from statsd_tcp.kernel.process_stats import ProcessState

__all__ = ["LOOK_SECONDS", "MOST_LOOKS", "Looks"]

LOOK_SECONDS = 1.0
"""Seconds between two looks."""

MOST_LOOKS = 10
"""Looks in a row that must find a process asleep: ten seconds, as long as a frame may use the processor."""

_LATE = 2 * LOOK_SECONDS


class Looks:
    """The looks at one process, with how much it has said by then."""

    def __init__(self) -> None:
        self._at = 0.0
        self._said = -1
        self._before: ProcessState | None = None
        self._asleep = 0

    def look(self, now: float, state: ProcessState | None, said: int) -> bool:
        """Look once more, at a moment in seconds; return whether it hangs. ``state`` is None where nothing is known."""
        late = now - self._at > _LATE
        before, self._before, self._at = self._before, state, now
        same, self._said = self._said == said, said
        if late or not same or state is None or not _may_hang(before, state):
            self._asleep = 0
        elif state.letter == "S":
            self._asleep += 1
        return self._asleep >= MOST_LOOKS


def _may_hang(before: ProcessState | None, state: ProcessState) -> bool:
    """Return whether nothing between two looks shows that it was stopped, or that it waits for a disk."""
    return state.letter in "SR" and before is not None and before[1:] == state[1:]
