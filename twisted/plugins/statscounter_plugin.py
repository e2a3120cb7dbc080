"""Makes ``twistd statscounter`` known to Twisted, which imports the package only when it is asked for."""

import gc
from typing import Any

from twisted.application.service import ServiceMaker


class _Maker(ServiceMaker):
    """Imports the package while nothing looks for garbage: what is imported is none."""

    @property
    def options(self) -> Any:
        """Return the class of the options, which is found in the package."""
        gc.disable()
        try:
            return super().options
        finally:
            gc.enable()


statscounter = _Maker(
    "statscounter",
    "statsd_tcp.tap",
    "Stats server for short TCP connections: counts every one, aggregates StatsD lines.",
    "statscounter",
)
