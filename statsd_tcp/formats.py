"""The numbers of the formats that one image of the service hands to the next, all in one place.

A reload puts new code next to things that the code before it has made. Each kind of thing has a number, which is raised
when code that knows the number before could not read it, or would read it wrongly:

    manifest   what the supervisor tells its next image (`supervisor.manifest`)
    channel    what supervisor and workers say to each other, and the intervals in it (`workers.channel`)
    ledger     the file of one worker's life, and its journal (`ledger.layout`)

A supervisor that is to be replaced names its own numbers to the rehearsal of the new code, as
``manifest=1 channel=1 ledger=1``. The rehearsal refuses what the new code cannot take over.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["CHANNEL", "LEDGER", "LEDGERS", "MANIFEST", "FormatError", "check_format", "check_formats", "write_formats"]

MANIFEST = 1
CHANNEL = 5
LEDGER = 2

LEDGERS = frozenset({1, LEDGER})
"""The versions of ledgers that can be read: version 1 has no batches."""

_OURS = {"manifest": MANIFEST, "channel": CHANNEL, "ledger": LEDGER}

_TAKEN_OVER: Mapping[str, frozenset[int]] = {
    "manifest": frozenset({MANIFEST}),
    "channel": frozenset({1, 2, 3, 4, CHANNEL}),
    "ledger": LEDGERS,
}
"""The numbers that this code can go on with, of each format."""

_RELEASES = {"1": "manifest=1 channel=1 ledger=1"}
"""What a release meant that named no formats: "1" is 0.1.0."""


class FormatError(Exception):
    """This code cannot take over from the one that runs; the text is one line that says what to do."""


def write_formats() -> str:
    """Return the formats of this code, as `check_formats` reads them."""
    return " ".join(f"{name}={number}" for name, number in _OURS.items())


def check_format(name: str, number: int) -> None:
    """Raise `FormatError` unless this code can go on with what the image before it has left in that format.

    The rehearsal has asked already, but the program's files may have been replaced between it and the exec.
    """
    if number not in _TAKEN_OVER[name]:
        raise FormatError(f"this version cannot take over {name}={number} from the one before it: start the service")


def check_formats(text: str) -> None:
    """Raise `FormatError` unless this code can take over from a supervisor that has sent ``text``."""
    running = _RELEASES.get(text, text).split()
    known = {f"{name}={number}" for name, numbers in _TAKEN_OVER.items() for number in numbers}
    named = {word.partition("=")[0] for word in running}
    wrong = [word for word in running if word not in known] + [name for name in _TAKEN_OVER if name not in named]
    if wrong:
        raise FormatError(
            f"this version cannot take over {', '.join(wrong)} from the one that runs: restart the service"
        )
