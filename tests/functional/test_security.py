"""What docs/security.md says that a service listens on, keeps on the disk, and does as root."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.clients import connect
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import marked
from tests.functional.service import CHECKOUT, LINES, Service, options
from tests.functional.test_user import NOBODY, home, prefix  # noqa: F401 (fixtures)
from tests.functional.waiting import until
from tests.short import make_short_folder
from tests.transcripts import section

PAGE = CHECKOUT / "docs" / "security.md"

ISOLATED = ("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""In a network namespace of one's own, where the usual ports are free and nothing else listens."""

LISTENS = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state of a socket that waits for others, in the kernel's tables. UDP knows no other."""

PRIVILEGES = ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapInh", "CapAmb")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its head."""
    lines = [line for line in section(PAGE, heading).partition("\n### ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def told_sockets() -> set[tuple[str, str, int]]:
    """Return what listens by the page: protocol, address and port."""
    found = set()
    for port, addresses, *_ in rows("What listens"):
        scheme, _, number = port.strip("`").partition(":")
        for address in ("0.0.0.0", "::") if addresses == "all" else (addresses.strip("`"),):
            found.add((scheme, address, int(number)))
    return found


def real_sockets(pid: int) -> set[tuple[str, str, int]]:
    """Return what listens in the network namespace of a process."""
    found = set()
    for table, state in LISTENS.items():
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, its_state, *_ = line.split()
            if its_state == state:
                address, _, port = local.partition(":")
                found.add((table.removesuffix("6"), written(address), int(port, 16)))
    return found


def written(address: str) -> str:
    """Write an address of the kernel's tables, which has words of four bytes as the machine keeps them."""
    words = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    return socket.inet_ntop(socket.AF_INET if len(words) == 4 else socket.AF_INET6, words)


def named_unix_sockets(pid: int) -> list[str]:
    """Return the names of Unix sockets in the network namespace of a process."""
    lines = Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
    return [line.split()[7] for line in lines if len(line.split()) > 7]


@pytest.fixture
def defaults(make_service: ServiceMaker) -> Service:
    """Return a service with the default ports in a network namespace, or skip the test."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("needs unshare (util-linux) and ip (iproute2)")
    if subprocess.run([*ISOLATED, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root for a private network namespace")
    options = ["--listen", "--count", "--http", "--admin"]
    service = make_service(prefix=ISOLATED, workers=2, without=options)
    service.launch()
    until(service.has_greeted, "it has started")
    return service


def test_what_listens(defaults: Service) -> None:
    """A service with the default options listens on what the page lists, and on nothing else."""
    told = told_sockets()
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        told = {one for one in told if one[1] != "::"}
    assert real_sockets(defaults.process.pid) == told
    assert named_unix_sockets(defaults.process.pid) == []


@pytest.fixture(scope="module", params=[0], ids=["umask 0"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that was started with that umask, for the tests that only look at it."""
    folder, sockets = tmp_path_factory.mktemp("service"), make_short_folder()
    listen = [LINES, f"unix:{sockets}/a:name=a", f"unixgram:{sockets}/b:name=b"]
    made = Service(folder, options(folder / "state", listen=listen))
    before = os.umask(request.param)
    try:
        made.launch()
    finally:
        os.umask(before)
    try:
        yield made.await_ready()
    finally:
        made.end()
        shutil.rmtree(sockets)


def test_nothing_is_sent_back(service: Service) -> None:
    """A client of the port for lines gets not a byte, whatever it sends."""
    with connect(service.port("lines")) as client:
        client.sendall(b"hits:1|c\nbad\nGET / HTTP/1.1\r\n\r\nhelp\n")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_files(service: Service) -> None:
    """The files of the state folder are those of the page, with the modes that it says, under any umask."""
    modes: dict[Path, int] = {}
    for names, mode, *_ in rows("Files"):
        for name in re.findall("`(.+?)`", names):
            found = list(service.state.glob(name)) if name != "." else [service.state]
            assert found, name
            modes |= dict.fromkeys(found, int(mode, 8))
    real = [service.state, *service.state.rglob("*")]
    assert {path: path.stat().st_mode & 0o777 for path in real} == modes


def test_unix_socket(service: Service) -> None:
    """The file of a Unix socket has the mode of the page, under any umask."""
    paths = [Path(found) for found in re.findall(r"--listen=unix\w*:([^:]+)", " ".join(service.command))]
    assert len(paths) == 2
    (mode,) = re.findall(r"file of a Unix socket has mode (\d+)", section(PAGE, "Files"))
    assert {path.stat().st_mode & 0o777 for path in paths} == {int(mode, 8)}


def privileges(pid: int) -> dict[str, list[str]]:
    """Return the users, groups and capabilities of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: values.split() for name, _, values in (line.partition(":") for line in lines) if name in PRIVILEGES}


def test_root_is_gone(home: Path, prefix: tuple[str, ...], make_service: ServiceMaker) -> None:  # noqa: F811
    """With --uid no process has root's numbers, groups or capabilities, nor can get them back."""
    program = ("twistd", "-n", "--pidfile=", f"--uid={NOBODY}", f"--gid={NOBODY}")
    service = make_service(program=program, prefix=prefix, more=[f"--state-dir={home}/state"], workers=2)
    service.start()
    pids = marked(service.mark)
    assert len(pids) == 3
    for pid in pids:
        found = privileges(pid)
        assert found.pop("Uid") == found.pop("Gid") == [str(NOBODY)] * 4
        assert set(found.pop("Groups")) <= {str(NOBODY)}
        assert {int(word, 16) for words in found.values() for word in words} == {0}


def test_unit() -> None:
    """Each setting that the page names for the systemd unit is in the unit."""
    unit = (CHECKOUT / "etc" / "statscounter.service").read_text().splitlines()
    named = [name for row in rows("The systemd unit") for name in re.findall("`(.+?)`", row[0])]
    assert named
    assert [name for name in named if name not in unit] == []
