"""Where the sources can be read that checks and opinions name: pages of the kernel's documentation, manual pages, code.

| in a source               | leads to                                                       |
| ip-sysctl.rst: tcp_mem    | https://docs.kernel.org/networking/ip-sysctl.html               |
| listen(2)                 | https://manpages.debian.org/listen.2                            |
| net/core/dev.c: netif_rx  | https://git.kernel.org/(...)/torvalds/linux.git/tree/net/core/dev.c |
| RFC 7413 section 6.3.1    | https://www.rfc-editor.org/rfc/rfc7413                          |
"""

from __future__ import annotations

import re

__all__ = ["references"]

_CODE = "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/"

_FOLDERS = {
    "cgroup-v2": "admin-guide",
    "fs": "admin-guide/sysctl",
    "ip-sysctl": "networking",
    "net": "admin-guide/sysctl",
    "nf_conntrack-sysctl": "networking",
    "scaling": "networking",
}
"""The folder of each page of the kernel's documentation."""

_KINDS = re.compile(
    r"(?P<page>[\w-]+)\.rst"
    r"|(?P<manual>[\w.]+)\((?P<section>\d)\)"
    r"|(?P<code>[a-z]\w*/[\w/]+\.[ch])\b"
    r"|RFC (?P<rfc>\d+)"
)


def references(source: str) -> dict[str, str]:
    """Return the address of each thing that a source names, by its name."""
    return {found[0]: _address(found) for found in _KINDS.finditer(source)}


def _address(found: re.Match[str]) -> str:
    if found["page"]:
        return f"https://docs.kernel.org/{_FOLDERS[found['page']]}/{found['page']}.html"
    if found["manual"]:
        return f"https://manpages.debian.org/{found['manual']}.{found['section']}"
    if found["code"]:
        return _CODE + found["code"]
    return f"https://www.rfc-editor.org/rfc/rfc{found['rfc']}"
