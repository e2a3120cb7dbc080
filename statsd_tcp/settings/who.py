"""The values of ``--who``, ``--who-mask``, ``--who-names`` and ``--who-to``. All raise ``ValueError``."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["Counted", "Mask", "Names", "network", "parse_mask", "parse_who", "read_names"]

_MOST_NAMES = 100_000
_LONGEST_NAME = 64
_LARGEST_FILE = 32 << 20
"""Bytes: as many names with their networks take a half of it. Else a wrong path, of a device, would take all memory."""

Counted = Literal["", "yes", "all"]
"""What is counted by source: nothing, connections where that costs little, or datagrams, too."""

_Network = IPv4Network | IPv6Network


class Mask(NamedTuple):
    """How many bits of an IPv4 and of an IPv6 address are kept."""

    ipv4: int
    ipv6: int


class Names:
    """The names of networks, from the file ``source``. Of several that hold an address the longest prefix counts."""

    def __init__(self, source: str, networks: dict[_Network, str]) -> None:
        self.source = source
        self._prefixes: dict[tuple[int, int], dict[int, str]] = {}
        for one, name in networks.items():
            number = int(one.network_address) >> (one.max_prefixlen - one.prefixlen)
            self._prefixes.setdefault((one.version, one.prefixlen), {})[number] = name
        self._order = sorted(self._prefixes, reverse=True)

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(map(len, self._prefixes.values()))

    def of(self, source: _Network) -> str:
        """Return the name of a source, "" if there is none. A network that is smaller than it does not name it."""
        number = int(source.network_address)
        for version, bits in self._order:
            if version == source.version and bits <= source.prefixlen:
                name = self._prefixes[version, bits].get(number >> (source.max_prefixlen - bits))
                if name is not None:
                    return name
        return ""


def parse_who(text: str) -> Counted:
    """Read the value of ``--who``."""
    if text not in {"yes", "all", "no"}:
        raise ValueError(f"{text!r} is not yes, all or no")
    return "yes" if text == "yes" else "all" if text == "all" else ""


def parse_mask(text: str) -> Mask:
    """Read the value of ``--who-mask``: two numbers of bits."""
    bits = [part.strip() for part in text.split(",")]
    limits = (32, 128)
    if len(bits) != len(limits) or not all(
        one.isascii() and one.isdigit() and int(one) <= most for one, most in zip(bits, limits, strict=True)
    ):
        raise ValueError(f"{text!r} is not two numbers of bits, of IPv4 to 32 and of IPv6 to 128, such as 24,48")
    return Mask(*map(int, bits))


def network(text: str) -> str:
    """Read a value of ``--who-to``: a network, or an address."""
    return str(_network(text))


def read_names(text: str) -> Names:
    """Read the file of that path: ``CIDR NAME`` on each line, and comments from ``#`` on."""
    path = Path(text).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            raise ValueError(f"{path} is larger than {_LARGEST_FILE >> 20} MiB")
        lines = data.decode().splitlines()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} cannot be read: it is not UTF-8") from None
    networks: dict[_Network, str] = {}
    for number, line in enumerate(lines, 1):
        said, _, name = " ".join(line.partition("#")[0].split()).partition(" ")
        if not said:
            continue
        try:
            _take(networks, said, name)
        except ValueError as error:
            raise ValueError(f"{path} line {number}: {error}") from None
    return Names(str(path), networks)


def _take(networks: dict[_Network, str], said: str, name: str) -> None:
    one = _network(said)
    if not name:
        raise ValueError(f"{said} has no name after it")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"the name of {said} is not at most {_LONGEST_NAME} characters that can be printed")
    if one in networks:
        raise ValueError(f"{said} is there twice")
    if len(networks) >= _MOST_NAMES:
        raise ValueError(f"there may be at most {_MOST_NAMES:,} names")
    networks[one] = name


def _network(text: str) -> _Network:
    try:
        return ip_network(text.strip())
    except ValueError:
        raise ValueError(f"{text!r:.60} is not a network, such as 10.0.0.0/8") from None
