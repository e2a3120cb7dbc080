"""Batches as clients write them."""

from __future__ import annotations

import zlib

CLIENT = bytes(range(16))
LINES = b"a:1|c\nb:2|c\n"


def hello(client: bytes = CLIENT) -> bytes:
    """Write the first line of a client."""
    return b"!hello 1 %s\n" % client.hex().encode()


def batch(sequence: int, lines: bytes = LINES) -> bytes:
    """Write a batch."""
    return lines + b"!batch %d %d %08x\n" % (sequence, lines.count(b"\n"), zlib.crc32(lines))
