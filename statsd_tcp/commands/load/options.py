"""The options of ``statscounter load``: read, checked, and completed with defaults."""

from __future__ import annotations

import argparse
import math
import os
import socket
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path

from statsd_tcp.commands.arguments import count, not_negative, positive, service_url
from statsd_tcp.commands.load.proxy import Proxy, ProxyVersion
from statsd_tcp.commands.load.shapes import DEFAULT_MIX, Close, Mix, MixError, read_mix
from statsd_tcp.commands.load.workload import Address, Mode, Workload, source_addresses
from statsd_tcp.commands.usage import UsageError

__all__ = ["LoadOptions", "add_arguments", "from_arguments"]

COUNT_PORT = 8888
LINES_PORT = 8125

DEFAULT_CONNECTIONS = 10_000
DEFAULT_KEPT_CONNECTIONS = 64
DEFAULT_KEPT_SECONDS = 10.0
DEFAULT_LINES = {Mode.CONNECT: 0, Mode.LINE: 1, Mode.LINES: 10, Mode.KEPT: 100, Mode.MIX: 0}

# As fast as possible means this many at once: enough that a server never waits for us, few enough that the
# queues on both sides stay short.
DEFAULT_AT_ONCE = 64
# At a given rate only a server that hangs lets this many pile up, two seconds' worth at 5,000 a second.
DEFAULT_PILE = 10_000
# Each gives 28,000 ports; half-closing clients keep theirs for a minute after use.
DEFAULT_SOURCES = 64
# Addresses for tests of networks (RFC 2544): none of them is a real client's.
DEFAULT_PROXY_SOURCES = ip_network("198.18.0.0/15")
# The most addresses that plan.source_addresses has names for.
MOST_SOURCES = 60_000
MOST_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """A checked command line: the work, who does it, and what is done with the result."""

    target: str
    workload: Workload
    processes: int
    verify: str | None
    verify_timeout: float
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``statscounter load``."""
    add = parser.add_argument
    add(
        "--target",
        type=_target,
        metavar="tcp:HOST:PORT",
        help="the server (default: the service's own ports here)",
    )
    add("--mode", type=Mode, choices=list(Mode), default=Mode.CONNECT, metavar="MODE",
        help="connect, line, lines, kept, or mix (default: connect)")  # fmt: skip
    add("--mix", metavar="FILE",
        help="mode mix: lines of a kind (bare, line, late, kept, reset, tls) and its weight")  # fmt: skip
    add("--rate", type=_rate, default=None, metavar="R",
        help="connections (mode kept: lines) per second, or max (default: max)")  # fmt: skip
    add(
        "--connections",
        type=count,
        metavar="N",
        help="how many in all (default: 10000; mode kept: 64)",
    )
    add("--duration", type=positive, metavar="S", help="start none after S seconds (mode kept: 10)")
    add("--processes", type=count, metavar="P", help="generator processes (default: half the CPUs)")
    add("--concurrency", type=count, metavar="C",
        help="open at once at most (default: 64, at a given rate 10000)")  # fmt: skip
    add("--lines", type=count, metavar="N", help="lines per connection (mode kept: per send)")
    add("--line", type=_line, default="load.hits:1|c", metavar="TEMPLATE",
        help="what a line says; {connection} and {line} are replaced by numbers")  # fmt: skip
    add(
        "--late",
        type=not_negative,
        default=0.0,
        metavar="MS",
        help="milliseconds from handshake to first byte",
    )
    add("--close", type=Close, choices=list(Close), metavar="HOW",
        help="who ends a connection and how: server, half, fin or reset")  # fmt: skip
    add("--confirm", action="store_true",
        help="half-close, and expect ok from a listener with confirm=read")  # fmt: skip
    add(
        "--sources",
        type=count,
        metavar="N",
        help="source addresses 127.x.y.z (default: 64 on loopback)",
    )
    add("--proxy", type=ProxyVersion, choices=list(ProxyVersion), metavar="VERSION",
        help="begin each connection with a header of the PROXY protocol, v1 or v2")  # fmt: skip
    add("--proxy-sources", type=_network, metavar="CIDR",
        help=f"the client addresses in these headers, in turn (default: {DEFAULT_PROXY_SOURCES})")  # fmt: skip
    add(
        "--timeout",
        type=positive,
        default=5.0,
        metavar="S",
        help="give a connection up after S seconds (default: 5)",
    )
    add(
        "--verify",
        type=service_url,
        metavar="URL",
        help="compare with the server's own counts, as http://127.0.0.1:9102",
    )
    add(
        "--verify-timeout",
        type=positive,
        default=10.0,
        metavar="S",
        help="wait so long for the counts (default: 10)",
    )
    add("--json", action="store_true", help="print the result as JSON")


def from_arguments(given: argparse.Namespace, descriptors: int) -> LoadOptions:
    """Complete and cross-check a parsed command line, for processes that may open ``descriptors`` files each.

    Raises UsageError, with the option at fault, for options that do not go together or an unknown host.
    """
    mode: Mode = given.mode
    host, port = given.target or ("127.0.0.1", COUNT_PORT if mode is Mode.CONNECT else LINES_PORT)
    address = _resolve(host, port)
    connections, duration = _bounds(given)
    processes = _processes(given, connections)
    workload = Workload(
        address=address,
        sources=_sources(given.sources, address),
        mode=mode,
        close=_close(given),
        line=given.line,
        lines=_lines(given),
        late=_late(given),
        timeout=given.timeout,
        rate=None if given.rate in {None, math.inf} else given.rate,
        connections=connections,
        duration=duration,
        concurrency=_concurrency(given, processes, descriptors),
        confirm=given.confirm,
        mix=_mix(given),
        proxy=_proxy(given),
    )
    return LoadOptions(
        target=f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}",
        workload=workload,
        processes=processes,
        verify=given.verify,
        verify_timeout=given.verify_timeout,
        json=given.json,
    )


def _bounds(given: argparse.Namespace) -> tuple[int | None, float | None]:
    """Never without an end: a count, a time, or whichever comes first."""
    if given.mode is Mode.KEPT:
        return given.connections or DEFAULT_KEPT_CONNECTIONS, given.duration or DEFAULT_KEPT_SECONDS
    if given.connections is None and given.duration is None:
        return DEFAULT_CONNECTIONS, None
    return given.connections, given.duration


def _processes(given: argparse.Namespace, connections: int | None) -> int:
    wanted: int = given.processes or max(1, len(os.sched_getaffinity(0)) // 2)
    if wanted > MOST_PROCESSES:
        raise UsageError(f"--processes: {wanted} are more than {MOST_PROCESSES}")
    # None may be without work, nor without a connection of its own of the concurrency.
    return min(wanted, connections or wanted, given.concurrency or wanted)


def _lines(given: argparse.Namespace) -> int:
    mode: Mode = given.mode
    if given.lines is not None and mode is Mode.MIX:
        raise UsageError("--lines: in mode mix the file of --mix says how many, as lines=3")
    if given.lines is not None and (mode is Mode.CONNECT or (mode is Mode.LINE and given.lines != 1)):
        raise UsageError(f"--lines: mode {mode} sends {DEFAULT_LINES[mode]}; use --mode lines")
    return given.lines or DEFAULT_LINES[mode]


_LARGEST_MIX = 1 << 20
"""Bytes. Else a wrong path, of a device, would take all memory."""


def _mix(given: argparse.Namespace) -> Mix | None:
    if given.mode is not Mode.MIX:
        if given.mix is not None:
            raise UsageError(f"--mix: mode {given.mode} has no use for {given.mix}; add --mode mix")
        return None
    alone = {"--close": given.close, "--late": given.late, "--confirm": given.confirm}
    for name, value in alone.items():
        if value:
            raise UsageError(f"{name}: in mode mix the file of --mix says what its connections do")
    if given.mix is None:
        return read_mix(DEFAULT_MIX, "the default mix")
    try:
        with Path(given.mix).open("rb") as file:
            data = file.read(_LARGEST_MIX + 1)
        if len(data) > _LARGEST_MIX:
            raise UsageError(f"--mix: {given.mix} is larger than {_LARGEST_MIX >> 20} MiB")
        return read_mix(data.decode(), given.mix)
    except MixError as error:
        raise UsageError(f"--mix: {error}") from None
    except UnicodeDecodeError:
        raise UsageError(f"--mix: {given.mix} is not a text in UTF-8") from None
    except OSError as error:
        raise UsageError(f"--mix: {given.mix}: {error.strerror}") from None


def _proxy(given: argparse.Namespace) -> Proxy | None:
    if given.proxy is not None:
        return Proxy(given.proxy, given.proxy_sources or DEFAULT_PROXY_SOURCES)
    if given.proxy_sources is not None:
        raise UsageError("--proxy-sources: goes with --proxy")
    return None


def _close(given: argparse.Namespace) -> Close:
    mode: Mode = given.mode
    if given.confirm and given.close not in {None, Close.HALF}:
        raise UsageError(f"--confirm: a server confirms to clients that half-close; leave out --close {given.close}")
    if given.confirm:
        return Close.HALF
    if given.close is None:
        return Close.SERVER if mode is Mode.CONNECT else Close.HALF
    if mode is Mode.KEPT and given.close is Close.SERVER:
        raise UsageError("--close: kept connections are ended by the client; use half, fin or reset")
    close: Close = given.close
    return close


def _late(given: argparse.Namespace) -> float:
    if given.late and given.mode is Mode.KEPT:
        raise UsageError("--late: has no meaning in mode kept")
    if given.late and given.mode is Mode.CONNECT and given.close in {None, Close.SERVER} and not given.confirm:
        raise UsageError("--late: this client does nothing that could be late; use --close half, fin or reset")
    late: float = given.late / 1000
    return late


def _sources(wanted: int | None, address: Address) -> tuple[str, ...]:
    loopback = address.family is socket.AF_INET and ip_address(address.host).is_loopback
    if not loopback:
        if wanted is not None:
            raise UsageError(f"--sources: {address.host} is not an IPv4 loopback address")
        return ()
    if wanted is not None and wanted > MOST_SOURCES:
        raise UsageError(f"--sources: {wanted} are more than {MOST_SOURCES}")
    return source_addresses(wanted or DEFAULT_SOURCES)


def _concurrency(given: argparse.Namespace, processes: int, descriptors: int) -> int:
    # Standard streams, the pipe to the parent, the epoll and what Python keeps open.
    room = (descriptors - 32) * processes
    if given.concurrency is not None:
        if given.concurrency > room:
            raise UsageError(
                f"--concurrency: {processes} processes with {descriptors} file descriptors each (ulimit -n) "
                f"cannot hold {given.concurrency} connections"
            )
        wanted: int = given.concurrency
        return wanted
    return min(room, DEFAULT_AT_ONCE if given.rate in {None, math.inf} else DEFAULT_PILE)


def _resolve(host: str, port: int) -> Address:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"--target: {host}: {error.strerror}") from None
    family, _, _, _, place = found[0]
    return Address(socket.AddressFamily(family), str(place[0]), port)


def _target(text: str) -> tuple[str, int]:
    scheme, _, rest = text.partition(":")
    host, colon, port = rest.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if scheme != "tcp" or not colon or not host or (":" in host and not bracketed):
        raise argparse.ArgumentTypeError(f"{text!r} is not tcp:HOST:PORT (an IPv6 address in brackets)")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
        raise argparse.ArgumentTypeError(f"{port!r} is not a port (1 to 65535)")
    return host[1:-1] if bracketed else host, int(port)


def _rate(text: str) -> float:
    return math.inf if text == "max" else positive(text)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a network, as 198.18.0.0/15") from None


def _line(text: str) -> str:
    if not text or "\n" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not one line")
    return text
