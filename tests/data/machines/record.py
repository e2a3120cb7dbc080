"""Record the machine that this runs on, as one text file: ``python tests/data/machines/record.py > NAME.tree``.

Each file is a line ``== path`` and then its text; a symbolic link is a line ``== path -> target``. What cannot be read
is left out, as it would be on the machine. Names of hosts and addresses are not among what is read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from statsd_tcp.kernel import sock_diag
from statsd_tcp.kernel.cards import read_cards
from statsd_tcp.kernel.rings import receive_ring

FILES = (
    "proc/interrupts",
    "proc/meminfo",
    "proc/self/cgroup",
    "proc/self/limits",
    "proc/self/net/dev",
    "proc/self/net/netstat",
    "proc/self/net/snmp",
    "proc/self/net/sockstat",
    "proc/self/net/softnet_stat",
    "proc/self/net/stat/nf_conntrack",
    "proc/self/status",
    "proc/sys/fs/file-max",
    "proc/sys/fs/file-nr",
    "proc/sys/fs/nr_open",
    "proc/sys/kernel/osrelease",
    "proc/sys/net/core/*",
    "proc/sys/net/ipv4/ip_local_*",
    "proc/sys/net/ipv4/tcp_*",
    "proc/sys/net/netfilter/nf_conntrack_count",
    "proc/sys/net/netfilter/nf_conntrack_max",
    "proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait",
    "proc/sys/net/unix/max_dgram_qlen",
    "sys/class/net/*/device/current_link_*",
    "sys/class/net/*/device/numa_node",
    "sys/class/net/*/device/msi_irqs/*",
    "sys/class/net/*/operstate",
    "sys/class/net/*/queues/rx-*/rps_cpus",
    "sys/class/net/*/speed",
    "sys/class/net/*/statistics/rx_*",
    "sys/class/net/*/type",
    "sys/devices/system/cpu/online",
    "sys/devices/system/node/node*/cpulist",
    "sys/fs/cgroup/cpu.max",
    "sys/fs/cgroup/cpu.stat",
    "sys/fs/cgroup/memory.*",
    "sys/fs/cgroup/pids.*",
    "sys/fs/cgroup/cpu/cpu.*",
    "sys/fs/cgroup/memory/memory.limit_in_bytes",
    "sys/fs/cgroup/memory/memory.failcnt",
)
SECRET = ("fastopen_key", "netdev_rss_key")
STATUS = ("Cpus_allowed_list",)


def main() -> None:
    """Write the tree to standard output."""
    for pattern in FILES:
        for path in sorted(Path("/").glob(pattern)):
            if not any(word in path.name for word in SECRET):
                show(path)
    for card in read_cards(Path("/sys/class/net")):
        if card.device:
            sys.stdout.write(f"== sys/class/net/{card.name}/device -> ../../../{card.device}\n")
    listening = [
        {"port": one.port, "limit": one.queue.limit} for one in sock_diag.listeners() if one.port in {8125, 8888}
    ]
    sys.stdout.write(f"== probes.json\n{json.dumps({'rings': rings(), 'listeners': listening})}\n")


def show(path: Path) -> None:
    """Write one file."""
    try:
        text = path.read_text()
    except OSError:
        return
    if path.name == "status":
        text = "".join(line for line in text.splitlines(keepends=True) if line.split(":")[0] in STATUS)
    sys.stdout.write(f"== {str(path).lstrip('/')}\n{text.rstrip(chr(10))}\n")


def rings() -> dict[str, tuple[int, int]]:
    """Return the receive rings that the drivers tell of."""
    found = {}
    for card in read_cards(Path("/sys/class/net")):
        try:
            found[card.name] = tuple(receive_ring(card.name))
        except OSError:
            continue
    return found  # type: ignore[return-value]


if __name__ == "__main__":
    main()
