"""The outputs that the settings ask for, and the rules by which flushes are made for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.known_series import IdleRules
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.outputs.graphite_paths import PATH_NAMES
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.outputs.plugins import make_plugin
from statsd_tcp.settings.settings import Settings

if TYPE_CHECKING:
    from statsd_tcp.remote_write.receiver import IReceiver

__all__ = ["flush_rules", "make_outputs", "make_receivers", "series_limit"]


def make_outputs(reactor: Any, settings: Settings) -> dict[str, IOutput]:
    """Make the outputs, by their names; raises `plugins.PluginError`."""
    outputs: dict[str, IOutput] = {}
    if settings.graphite:
        from statsd_tcp.outputs.graphite import Graphite

        outputs.update({target.label: Graphite(reactor, target) for target in settings.graphite})
    for spec in settings.output:
        outputs[spec.label] = make_plugin(reactor, spec)
    if settings.console is not None and sys.__stdout__ is not None:
        from statsd_tcp.outputs.terminal import TerminalOutput

        # Not sys.stdout, which is the log under twistd.
        outputs["console"] = TerminalOutput(reactor, sys.__stdout__, settings.console)
    return outputs


def make_receivers(reactor: Any, settings: Settings) -> dict[str, IReceiver]:
    """Make what requests of remote write are sent to, by the names of the outputs; raises `SettingsError`."""
    if not settings.remote_write:
        return {}
    from statsd_tcp.remote_write.assembly import make_receivers

    return make_receivers(reactor, settings.remote_write)


def flush_rules(settings: Settings, outputs: Mapping[str, IOutput]) -> FlushRules:
    """Return the rules by which flushes are made."""
    return FlushRules(
        seconds=settings.flush_interval,
        timers=TimerRules(percentiles=settings.percentiles, histograms=settings.histogram, only=settings.timer_fields),
        idle=IdleRules(delete=settings.delete_idle, gauge_flushes=settings.gauges_ttl, ttl=settings.series_ttl),
        outputs=tuple(outputs),
        queue=settings.output_queue,
        limit=series_limit(settings),
        path_names=PATH_NAMES if settings.graphite else None,
    )


def series_limit(settings: Settings) -> Amount:
    """Return how many series there may be, and how many bytes of them."""
    return Amount(settings.max_series, settings.max_series_bytes)
