"""``statscounter serve``: the service in the foreground, as ``twistd -n --pidfile= statscounter`` runs it.

For places that have this command and no twistd: uvx, pipx and uv install only a package's own commands. A reload runs
this command line again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from twisted.python import usage
from twisted.scripts._twistd_unix import ServerOptions
from twisted.scripts.twistd import runApp

from statsd_tcp.commands.usage import EX_USAGE

__all__ = ["run"]

_FOREGROUND = ("--nodaemon", "--pidfile=", "statscounter")


class _ServerOptions(ServerOptions):
    """The options of twistd, which are given already."""

    def getSynopsis(self) -> str:
        """Return what is above the help, before the name of the service and its options."""
        return f"Usage: statscounter serve [options]\nThe same as: twistd {' '.join(_FOREGROUND[:-1])}"


def run(arguments: Sequence[str]) -> int:
    """Run the service until it ends, and return 0; one that a signal has ended ends this process by that signal."""
    options = _ServerOptions()
    try:
        options.parseOptions([*_FOREGROUND, *arguments])
    except usage.UsageError as error:
        print(f"statscounter serve: {error} (see statscounter serve --help)", file=sys.stderr)
        return EX_USAGE
    runApp(options)
    return 0
