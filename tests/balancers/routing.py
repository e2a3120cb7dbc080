"""The kernel as the balancer, with the files of docs/examples/balancers."""

from __future__ import annotations

import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from tests.balancers.nodes import DEVICE, EXAMPLES, VIRTUAL, Node

__all__ = ["Route", "Translation"]


class Kernel(ABC):
    """The kernel as the balancer: it has no checks, and spreads connections over the nodes that it was told last."""

    keys = ""
    file: str

    def __init__(self, folder: Path) -> None:
        self.text = (EXAMPLES / self.file).read_text()
        self._nodes: list[Node] = []

    def start(self, nodes: Sequence[Node]) -> None:
        """Spread connections over all nodes."""
        self._nodes = list(nodes)
        self.spread(self._nodes)

    def take_out(self, node: Node) -> None:
        """Spread them over the others."""
        self.spread([each for each in self._nodes if each is not node])

    def bring_back(self, node: Node) -> None:
        """Spread them over all again."""
        self.spread(self._nodes)

    def end(self) -> None:  # noqa: B027  # the same for all
        """Do nothing: what was set goes with the namespace."""

    @abstractmethod
    def spread(self, nodes: Sequence[Node]) -> None:
        """Spread new connections over these nodes."""


class Route(Kernel):
    """Routes of equal cost to an address that all nodes have."""

    file = "ecmp.sh"

    def spread(self, nodes: Sequence[Node]) -> None:
        """Run the script."""
        hosts = [node.host for node in nodes]
        subprocess.run(["sh", "-s", VIRTUAL, DEVICE, *hosts], input=self.text, text=True, check=True)


class Translation(Kernel):
    """The rules of a Service of Kubernetes."""

    file = "service.nft"

    def spread(self, nodes: Sequence[Node]) -> None:
        """Load the rules, with these nodes in the place of the two."""
        subprocess.run(["ip", "route", "replace", f"{VIRTUAL}/32", "dev", DEVICE], check=True)
        hosts = ", ".join(f"{number} : {node.host}" for number, node in enumerate(nodes))
        text, changed = re.subn(r"mod 2 map \{.*?\}", f"mod {len(nodes)} map {{ {hosts} }}", self.text)
        assert changed == 1
        subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
