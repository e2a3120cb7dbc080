"""The commands of ``python -m benchmarks``."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import COMMANDS
from benchmarks.network import private_network
from benchmarks.processors.sharing import share
from benchmarks.processors.upkeep import total_calls
from benchmarks.veth import mask, plan, refusal
from tests.patience import PATIENCE


def test_every_command_has_its_module() -> None:
    """Every command can be imported, declares options that read well as help, and can be run."""
    for name, command in COMMANDS.items():
        module = import_module(f"benchmarks.{command.module}")
        options = ArgumentParser(prog=name)
        module.add_arguments(options)
        assert "--help" in options.format_help()
        assert callable(module.run)


def test_every_command_is_explained(checkout: Path) -> None:
    """The page about the benchmarks has a row for each command."""
    page = (checkout / "benchmarks" / "README.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in COMMANDS if not any(f"`{name}`" in row for row in rows)] == []


def test_processors_of_workers() -> None:
    """Each worker has a processor, and the clients have others: two for each worker where there are that many."""
    assert share(range(2), 2) is None
    assert share([0, 1], 1) == ((0,), (1,))
    assert share([4, 5, 6, 7, 8, 9], 1) == ((4,), (5, 6))
    assert share(range(16), 8) == (tuple(range(8)), tuple(range(8, 16)))
    assert share(range(16), 16) is None


def test_count_of_system_calls() -> None:
    """The number of calls is read from the summary of strace, with and without failed ones."""
    head = "% time     seconds  usecs/call     calls    errors syscall\n"
    assert total_calls(f"{head}100.00    0.000511           3       134         2 total\n") == 134
    assert total_calls(f"{head}100.00    0.000511           3       134           total\n") == 134


def test_masks_of_processors() -> None:
    """A set of processors is written in groups of 32 bits, the highest first."""
    assert mask([0]) == "00000001"
    assert mask([1, 4]) == "00000012"
    assert mask([0, 33]) == "00000002,00000001"


def test_plan_of_a_pair() -> None:
    """Receive packet steering comes last, for each side with its own processors, and only where it is wanted."""
    without, steered = (plan(7, network, [0], [1, 2]) for network in ("veth", "veth-rps"))
    assert steered[:-2] == without
    (*_, server), (*_, clients) = steered[-2:]
    assert "echo 00000001 > /sys/class/net/veth-server/" in server
    assert "echo 00000006 > /sys/class/net/veth-clients/" in clients
    assert steered[-1][:2] == ("nsenter", "--net=/proc/7/ns/net")


def test_who_may_have_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pair needs root, and never changes the machine's own network; loopback needs nothing."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refusal("veth", ("unshare", "--net")) == "only root may connect two network namespaces"
    assert refusal("loopback", ()) == ""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "own network" in refusal("veth-rps", ())
    assert refusal("veth-rps", ("unshare", "--net")) == ""


PAIR = """
import os, socket, subprocess, sys
from benchmarks.network import bring_up_loopback
from benchmarks.veth import between
bring_up_loopback()
with socket.create_server(("127.0.0.1", 0)) as server, between("veth-rps", [0], [0]) as within:
    address = "127.0.0.1", server.getsockname()[1]
    client = f"import socket; socket.create_connection({address}, 20, ('127.1.0.5', 0))"
    subprocess.run([*within, sys.executable, "-c", client], check=True)
    counts = open("/proc/net/dev").read().split("veth-server:")[1].split()
    print(server.accept()[1][0], int(counts[1]) > 2, within[1], flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0 or not private_network(), reason="needs root and network namespaces")
def test_a_pair_of_namespaces(checkout: Path) -> None:
    """A client reaches the server over the pair, from its own address; a killed measurement leaves no namespace."""
    words = [*private_network(), sys.executable, "-c", PAIR]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=checkout) as measuring:
        assert measuring.stdout is not None
        source, over_the_pair, within = measuring.stdout.readline().split()
        assert (source, over_the_pair) == ("127.1.0.5", "True")
        holder = os.pidfd_open(int(within.split("/")[2]))
        measuring.kill()
    ended, _, _ = select.select([holder], [], [], PATIENCE)
    os.close(holder)
    assert ended
