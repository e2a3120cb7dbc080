"""A pair of network cards of the kernel's own between server and clients, each side in a network namespace of its own.

    server's namespace                                clients' namespace
    127.0.0.1   10.9.0.1 veth-server ══ veth-clients 10.9.0.2   127.1.0.0/16

The addresses are those that servers and clients also use on loopback: they are routed over the pair, so the same
programs run with the same options. A process that reads from a pipe holds the clients' namespace. When its other end is
closed, for whatever reason, the kernel removes the namespace with the pair.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from benchmarks.programs import ToolError

__all__ = ["NETWORKS", "Network", "between", "mask", "plan", "refusal"]

Network = Literal["loopback", "veth", "veth-rps"]
NETWORKS: tuple[Network, ...] = ("loopback", "veth", "veth-rps")
"""``veth-rps`` has each side receive on its own processors (receive packet steering). Without it the sender's do it."""

SERVER, CLIENTS = "veth-server", "veth-clients"
HOLDER = ("unshare", "--net", "sh", "-c", "echo ready; exec cat")

Words = tuple[str, ...]


def refusal(network: Network, namespace: Sequence[str]) -> str:
    """Return why there can be no such network, or nothing; ``namespace`` are the words that give one of its own."""
    if network == "loopback":
        return ""
    if os.geteuid() != 0:
        return "only root may connect two network namespaces"
    return "" if namespace else "the machine's own network is left alone: a namespace is needed"


def mask(cpus: Sequence[int]) -> str:
    """Return a set of processors as the kernel wants it: hexadecimal, in groups of 32 bits."""
    number = sum(1 << cpu for cpu in cpus)
    groups = [f"{number >> shift & 0xFFFFFFFF:08x}" for shift in range(0, max(number.bit_length(), 1), 32)]
    return ",".join(reversed(groups))


def plan(holder: int, network: Network, server_cpus: Sequence[int], client_cpus: Sequence[int]) -> list[Words]:
    """Return the commands, in their order, that make the pair; the process ``holder`` is in the clients' namespace."""
    inside = entering(holder)
    made: list[Words] = [
        ("ip", "link", "add", SERVER, "type", "veth", "peer", "name", CLIENTS, "netns", str(holder)),
        *_side((), SERVER, "10.9.0.1/24"),
        *_side(inside, CLIENTS, "10.9.0.2/24"),
        # What is left of 127.0.0.0/8 here is 127.0.0.1: the rest is behind the pair.
        ("ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"),
        ("ip", "route", "add", "127.1.0.0/16", "via", "10.9.0.2", "dev", SERVER),
        (*inside, "ip", "route", "del", "local", "127.0.0.0/8", "dev", "lo", "table", "local"),
        (*inside, "ip", "route", "del", "local", "127.0.0.1", "dev", "lo", "table", "local"),
        (*inside, "ip", "route", "add", "local", "127.1.0.0/16", "dev", "lo", "table", "local"),
        (*inside, "ip", "route", "add", "127.0.0.1", "via", "10.9.0.1", "dev", CLIENTS),
    ]
    if network == "veth-rps":
        made += [_steered((), SERVER, server_cpus), _steered(inside, CLIENTS, client_cpus)]
    return made


def entering(holder: int) -> Words:
    """Return the words before a command that let it run in the clients' namespace."""
    return ("nsenter", f"--net=/proc/{holder}/ns/net")


def _side(inside: Words, name: str, address: str) -> list[Words]:
    settings = [
        f"net.ipv4.conf.{where}.{key}" for where in ("all", name) for key in ("route_localnet=1", "rp_filter=0")
    ]
    return [
        (*inside, "sysctl", "--quiet", "--write", *settings),
        (*inside, "ip", "address", "add", address, "dev", name),
        (*inside, "ip", "link", "set", name, "up"),
        (*inside, "ip", "link", "set", "lo", "up"),
    ]


def _steered(inside: Words, name: str, cpus: Sequence[int]) -> Words:
    # /sys shows the network namespace in which it was mounted.
    there = f"/sys/class/net/{name}/queues/rx-0/rps_cpus"
    text = f"mount -t sysfs sysfs /sys && echo {mask(cpus)} > {there}"
    return (*inside, "unshare", "--mount", "sh", "-c", text)


@contextmanager
def between(network: Network, server_cpus: Sequence[int], client_cpus: Sequence[int]) -> Iterator[Words]:
    """Yield the words before a command of the clients, for as long as the block lasts; none on loopback.

    To be called in a network namespace of the server's own. Raises ToolError when the pair cannot be made.
    """
    if network == "loopback":
        yield ()
        return
    with subprocess.Popen(HOLDER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        if holder.stdout is None or holder.stdout.readline() != "ready\n":
            raise ToolError("a second network namespace is not allowed here")
        for words in plan(holder.pid, network, server_cpus, client_cpus):
            made = subprocess.run(words, capture_output=True, text=True, check=False)
            if made.returncode:
                raise ToolError(f"{' '.join(words)}: {made.stderr.strip()}")
        yield entering(holder.pid)
