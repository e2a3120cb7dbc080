"""A network of its own for what is measured: a namespace, where the machine allows one."""

import subprocess

NAMESPACES = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))
"""Ways to a private network namespace, with and without being root."""


def private_network() -> tuple[str, ...]:
    """The words before a command that give it a network of its own; none where that is not allowed."""
    for words in NAMESPACES:
        try:
            tried = subprocess.run([*words, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
        except FileNotFoundError:
            return ()
        if tried.returncode == 0:
            return words
    return ()


def bring_up_loopback() -> None:
    """A new network namespace has it, but down."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
