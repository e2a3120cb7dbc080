"""Network interfaces as sysfs describes them: queues, steering masks, drops, place on the bus and its interrupts."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from statsd_tcp.kernel.tables import cpu_mask

__all__ = ["Card", "interrupt_counts", "read_cards"]

_DROPS = ("rx_missed_errors", "rx_fifo_errors", "rx_dropped")


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One interface. ``real``: it belongs to a device, and is not only software.

    ``speed`` in Mbit/s and ``node`` (of NUMA) are None where the driver is silent. ``steered`` are the processors that
    receive packet steering spreads to. ``pcie`` is the link as the bus names it. ``drops`` were counted since boot.
    """

    name: str
    real: bool
    up: bool
    loopback: bool
    queues: int
    speed: int | None
    node: int | None
    steered: tuple[int, ...]
    pcie: str
    device: str
    interrupts: tuple[int, ...]
    drops: dict[str, int]
    packets: int


def read_cards(folder: Path) -> list[Card]:
    """Read all interfaces below ``/sys/class/net``, by name."""
    return [_card(one) for one in sorted(folder.iterdir()) if one.is_dir()]


def interrupt_counts(card: Card, table: str) -> dict[str, list[int]]:
    """Return the card's receive interrupts: what each processor took, by the interrupt's name in ``/proc/interrupts``.

    Drivers name them as they like: ``eth0-TxRx-3``, ``mlx5_comp3@pci:0000:17:00.0``, ``virtio2-input.0``. So a row
    belongs to the card if it carries the card's or its device's name, or a number that sysfs lists for the device. Rows
    that are surely not for receiving (control, output) are left out.
    """
    lines = table.splitlines()
    columns = len(lines[0].split()) if lines else 0
    mine = re.compile(rf"(^|[^\w]){re.escape(card.name)}\b|^{re.escape(card.device)}\b" if card.device else card.name)
    found = {}
    for line in lines[1:]:
        number, _, rest = line.partition(":")
        words = rest.split()
        name = words[-1] if len(words) > columns else ""
        belongs = name and (mine.search(name) or (number.strip().isdigit() and int(number) in card.interrupts))
        if belongs and not re.search(r"-(config|output|control|tx|async|ctrl)\b|-(tx|output)[-.]?\d|async|misc", name):
            found[f"{number.strip()} {name}"] = [int(word) for word in words[:columns]]
    return found


def _card(folder: Path) -> Card:
    device = folder / "device"
    receive = sorted((folder / "queues").glob("rx-*"))
    steered = {cpu for queue in receive for cpu in cpu_mask(_text(queue / "rps_cpus"))}
    speed, node = _number(folder / "speed"), _number(device / "numa_node")
    width, rate = _text(device / "current_link_width"), _text(device / "current_link_speed")
    return Card(
        name=folder.name,
        real=device.exists(),
        up=_text(folder / "operstate") in {"up", "unknown"},
        loopback=_text(folder / "type") == "772",
        queues=len(receive),
        speed=speed if speed and speed > 0 else None,
        node=node if node is not None and node >= 0 else None,
        steered=tuple(sorted(steered)),
        pcie=f"{rate} x{width}" if rate and width else "",
        device=device.resolve().name if device.exists() else "",
        interrupts=tuple(sorted(int(one.name) for one in _entries(device / "msi_irqs") if one.name.isdigit())),
        drops={name: _number(folder / "statistics" / name) or 0 for name in _DROPS},
        packets=_number(folder / "statistics/rx_packets") or 0,
    )


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        # Many of these files answer with an error where they have no meaning, a link that is down for example.
        return ""


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.lstrip("-").isdigit() else None


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
