"""From the settings to the outputs, and to the rules for what they get."""

from __future__ import annotations

import sys
from typing import Any

from statsd_tcp.aggregate.known import IdleRules
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.outputs.console import Console
from statsd_tcp.outputs.graphite import Graphite
from statsd_tcp.outputs.graphite_paths import SPELLING
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.outputs.plugins import make_plugin
from statsd_tcp.settings.table import Settings
from statsd_tcp.store.slots import SlotRules

__all__ = ["make_outputs", "slot_rules"]


def make_outputs(reactor: Any, settings: Settings) -> dict[str, IOutput]:
    """Make the outputs, by their names; raises `plugins.PluginError`."""
    outputs: dict[str, IOutput] = {target.label: Graphite(reactor, target) for target in settings.graphite}
    for spec in settings.output:
        outputs[spec.label] = make_plugin(reactor, spec)
    if settings.console is not None and sys.__stdout__ is not None:
        # Not sys.stdout, which is the log under twistd.
        outputs["console"] = Console(reactor, sys.__stdout__, settings.console)
    return outputs


def slot_rules(settings: Settings, outputs: dict[str, IOutput]) -> SlotRules:
    """Say how slots are made."""
    return SlotRules(
        seconds=settings.flush_interval,
        timers=TimerRules(percentiles=settings.percentiles, histograms=settings.histogram, only=settings.timer_fields),
        idle=IdleRules(delete=settings.delete_idle, gauge_slots=settings.gauges_ttl, ttl=settings.series_ttl),
        outputs=tuple(outputs),
        queue=settings.output_queue,
        max_series=settings.max_series,
        spelling=SPELLING if settings.graphite else None,
    )
