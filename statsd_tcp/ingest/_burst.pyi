from socket import socket

VERSION: int

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
    versions: int = 0,
    networks: bytes = b"",
    confirms: int = 0,
    /,
) -> tuple[int, int, list[bytes], list[tuple[int, bytes, int]], int, int, list[tuple[int, bytes | None]]]: ...
def bare(listener: int, budget: int, cells: memoryview, indexes: tuple[int, int, int], /) -> tuple[int, int]: ...
def header(data: bytes, versions: int, /) -> int: ...
def datagrams(
    port: socket, most: int, buffer: memoryview, batch: int, largest: int, /
) -> tuple[int, int, int, int, int]: ...
