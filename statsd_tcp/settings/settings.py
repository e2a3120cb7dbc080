"""The service's settings: one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from statsd_tcp.aggregate.timers import Histogram
from statsd_tcp.mapping.rules import MappingRules
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.graphite import GraphiteTarget
from statsd_tcp.settings.outputs import ConsoleForm, PluginSpec
from statsd_tcp.settings.remote_write import RemoteTarget
from statsd_tcp.settings.repeat import Target
from statsd_tcp.settings.source_limits import SourceRate
from statsd_tcp.settings.who import Counted, Mask, Names

__all__ = ["Settings", "SettingsError"]


class SettingsError(ValueError):
    """Settings that cannot be used: a line for each of the ``faults`` begins with the option or the file at fault.

    Its text is the first of them.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(faults[0])
        self.faults = faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asked for, validated, with the defaults filled in.

    ``workers`` and ``max_connections`` None: chosen from the machine at start. ``state_dir`` None: the place that the
    platform keeps for it. ``may_rename``: a store of a node with another name is taken as it is. Times are in seconds.
    ``given`` are the texts of those options that were given, ``source`` is the file that some of them come from, "" if
    there is none.
    """

    listen: tuple[Endpoint, ...]
    count: tuple[Endpoint, ...]
    http: Endpoint | None
    http_host: tuple[str, ...]
    http_lifecycle: bool
    http_connections: int
    admin: Endpoint | None
    workers: int | None
    hide_bad_lines: bool
    who: Counted
    who_mask: Mask
    who_names: Names | None
    who_to: tuple[str, ...]
    state_dir: Path | None
    node: str
    rename_node: bool
    idle_timeout: float
    first_byte_timeout: float
    max_age: float
    source_rate: SourceRate | None
    source_open: int
    source_limit_mode: str
    source_exempt: tuple[str, ...]
    max_connections: int | None
    drain_timeout: float
    flush_interval: int
    percentiles: tuple[float, ...]
    timer_fields: frozenset[str]
    histogram: tuple[Histogram, ...]
    delete_idle: frozenset[str]
    gauges_ttl: int
    series_ttl: float
    max_series: int
    max_series_bytes: int
    graphite: tuple[GraphiteTarget, ...]
    remote_write: tuple[RemoteTarget, ...]
    console: ConsoleForm | None
    repeat: tuple[Target, ...]
    output: tuple[PluginSpec, ...]
    output_queue: int
    mapping: MappingRules | None
    counter_suffix: str
    conflict_silence: float
    target_rate: int
    pin: bool
    steer: str
    log_format: str
    given: Mapping[str, tuple[str, ...]]
    source: str
    may_rename: bool = True
