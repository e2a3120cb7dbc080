"""All origins, those that wrote the protocol first."""

from __future__ import annotations

from typing import Final

from tests.conformance import (
    brubeck,
    dogstatsd,
    dogstatsd_clients,
    etsy,
    gostatsd,
    otel,
    statsd_exporter,
    statsite,
    telegraf,
    vector,
)
from tests.conformance.case import Origin

__all__ = ["ORIGINS"]

_MODULES: Final = (
    etsy, statsd_exporter, dogstatsd, dogstatsd_clients, telegraf, gostatsd, otel, vector, statsite, brubeck
)  # fmt: skip

ORIGINS: Final[tuple[Origin, ...]] = tuple(module.ORIGIN for module in _MODULES)
