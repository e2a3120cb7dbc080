from socket import socket
from typing import TypeAlias

VERSION: int

Limits: TypeAlias = tuple[memoryview, int, int, int]

def lines(
    listener: int,
    budget: int,
    reads: int,
    at_once: int,
    cells: memoryview,
    indexes: tuple[int, int, int, int, int],
    ring: memoryview,
    index: int,
    brim: int,
    tick: int,
    sources: memoryview | None = None,
    limits: Limits | None = None,
    versions: int = 0,
    networks: bytes = b"",
    confirms: int = 0,
    /,
) -> tuple[
    int,
    int,
    list[bytes],
    list[tuple[int, bytes, int]],
    int,
    int,
    list[tuple[int, bytes | None, bytes | None, int]],
    bytes,
]: ...
def kept(
    epoll: int,
    budget: int,
    cells: memoryview,
    journal_head: int,
    ring: memoryview,
    brim: int,
    tick: int,
    table: bytearray,
    sources: memoryview | None = None,
    /,
) -> tuple[
    int,
    int,
    int,
    list[bytes],
    list[tuple[int, bytes, int]],
    int,
    int,
    list[tuple[int, bytes | None, int]],
    bytes,
    bytes,
]: ...
def bare(
    listener: int,
    budget: int,
    cells: memoryview,
    indexes: tuple[int, int, int],
    sources: memoryview | None = None,
    index: int = 0,
    limits: Limits | None = None,
    /,
) -> tuple[int, int]: ...
def header(data: bytes, versions: int, /) -> tuple[int, bytes | None]: ...
def datagrams(
    port: socket,
    most: int,
    buffer: memoryview,
    batch: int,
    largest: int,
    sources: memoryview | None = None,
    index: int = 0,
    /,
) -> tuple[int, int, int, int, int, bytes]: ...
def segments(
    port: socket,
    most: int,
    buffer: memoryview,
    batch: int,
    largest: int,
    sources: memoryview | None = None,
    index: int = 0,
    /,
) -> tuple[int, int, int, int, int, bytes]: ...
def add_source(
    sources: memoryview,
    address: bytes,
    listener: int,
    connections: int,
    lines: int = 0,
    nbytes: int = 0,
    bad: int = 0,
    resets: int = 0,
    evicted: int = 0,
    limited: int = 0,
    /,
) -> None: ...
def admits(limits: memoryview, column: int, address: bytes, listener: int, now: int, /) -> bool: ...
