"""The service's settings: one frozen value, from the command line, a TOML file, or both.

Every option is one row of `OPTIONS`. Both sources go through the same row, so that they take the same values and give
the same errors; the command line wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from statsd_tcp.aggregate.timers import Histogram
from statsd_tcp.mapping.rules import MappingRules
from statsd_tcp.settings.endpoints import Endpoint, EndpointError, parse_count, parse_http, parse_listen
from statsd_tcp.settings.graphite import GraphiteTarget, parse_graphite
from statsd_tcp.settings.hosts import parse_host
from statsd_tcp.settings.outputs import (
    ConsoleForm,
    PluginSpec,
    parse_console,
    parse_histogram,
    parse_idle_kinds,
    parse_percentiles,
    parse_plugin,
    parse_timer_fields,
)
from statsd_tcp.settings.repeat import Target, parse_repeat

__all__ = ["OPTIONS", "YES", "Option", "Settings", "SettingsError", "build_settings", "read_config"]

MOST_WORKERS = 256
"""More worker processes than that are surely a slip of the finger: there is no use beyond the number of processors."""

YES = "yes"
"""What stands for a flag that is given."""

_DAY = 86400.0


class SettingsError(ValueError):
    """A setting that can't be used; the text is one line and begins with the option or the file at fault."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asked for, validated, with the defaults filled in.

    ``workers`` and ``max_connections`` None: chosen from the machine at start. ``state_dir`` None: the place that the
    platform keeps for it. Times are in seconds.
    """

    listen: tuple[Endpoint, ...]
    count: tuple[Endpoint, ...]
    http: Endpoint | None
    http_host: tuple[str, ...]
    http_lifecycle: bool
    http_connections: int
    admin: Endpoint | None
    workers: int | None
    state_dir: Path | None
    idle_timeout: float
    first_byte_timeout: float
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
    console: ConsoleForm | None
    repeat: tuple[Target, ...]
    output: tuple[PluginSpec, ...]
    output_queue: int
    mapping: MappingRules | None
    counter_suffix: str
    target_rate: int
    pin: bool
    steer: str


class Option(NamedTuple):
    """One option: its long name, its short one, how a value is read, its default, and the help text.

    A ``flag`` has no value: it is given or not, and ``--no-NAME`` takes it back.
    """

    name: str
    short: str
    parse: Callable[[str], Any]
    default: Any
    repeatable: bool
    help: str
    flag: bool = False

    @property
    def field(self) -> str:
        """Give the name of the field in `Settings`."""
        return self.name.replace("-", "_")


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
            raise ValueError(f"{text!r} is not a whole number from {lowest} to {highest}")
        return int(text)

    return parse


def _seconds(lowest: float, highest: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not lowest <= value <= highest:
            raise ValueError(f"{text!r} is not a number of seconds from {lowest:g} to {highest:g}")
        return value

    return parse


def _mapping(text: str) -> MappingRules:
    # Most have none, and would wait for the reader of YAML at every start.
    from statsd_tcp.settings.mapping import read_mapping_file

    return read_mapping_file(Path(text).expanduser())


def _counter_suffix(text: str) -> str:
    if text != "_total":
        raise ValueError(f"{text!r} is not _total")
    return text


def _steer(text: str) -> str:
    if text != "cpu":
        raise ValueError(f"{text!r} is not cpu")
    return text


def _yes(text: str) -> bool:
    if text != YES:
        raise ValueError(f"{text!r} is not {YES}")
    return True


def _directory(text: str) -> Path:
    return Path(text).expanduser().absolute()


OPTIONS = (
    Option(
        "listen", "l", parse_listen, ("tcp:8125", "udp:8125"), True,
        "StatsD lines: tcp:PORT, udp:PORT[:rcvbuf=BYTES], ssl:PORT:privateKey=FILE:certKey=FILE, each with "
        "[:interface=A], unix:PATH[:framing=lines|length] or unixgram:PATH, each with [:mode=660], all with "
        "[:dialect=etsy|dogstatsd][:name=LABEL]; repeatable [default: tcp:8125 and udp:8125]",
    ),
    Option(
        "count", "", parse_count, ("tcp:8888",), True,
        "count bare connections: tcp:PORT[:interface=A][:name=LABEL]; repeatable [default: tcp:8888]",
    ),
    Option(
        "workers", "w", _whole(1, MOST_WORKERS), None, False,
        "worker processes [default: the processors that this process may use, at most 8]",
    ),
    Option(
        "http", "", parse_http, "tcp:9102:interface=127.0.0.1", False,
        "metrics, health and status [default: tcp:9102:interface=127.0.0.1]",
    ),
    Option(
        "http-host", "", parse_host, (), True,
        "a name by which browsers may ask for the pages, .DOMAIN for all names below it, or * for any; repeatable "
        "[default: addresses, localhost and the machine's own names]",
    ),
    Option(
        "http-lifecycle", "", _yes, None, False,
        "take POST and PUT /-/reload from other machines as well [default: no]",
        flag=True,
    ),
    Option(
        "http-connections", "", _whole(1, 100_000), "128", False,
        "open connections of scrapers and browsers; beyond that one of the address with the most is closed "
        "[default: 128]",
    ),
    Option(
        "admin", "", parse_http, "tcp:8126:interface=127.0.0.1", False,
        "management console, with the commands of etsy's statsd; whoever reaches it may use it "
        "[default: tcp:8126:interface=127.0.0.1]",
    ),
    Option(
        "state-dir", "", _directory, None, False,
        "ledgers and totals [default: $STATE_DIRECTORY, else the user's state folder]",
    ),
    Option(
        "idle-timeout", "", _seconds(1, 30 * _DAY), "600", False,
        "seconds after which a connection that sends nothing is closed [default: 600]",
    ),
    Option(
        "first-byte-timeout", "", _seconds(0, 30 * _DAY), "60", False,
        "while three quarters of the open connections that there may be are there: seconds after which one that never "
        "sent a byte is closed, 0: never [default: 60]",
    ),
    Option(
        "max-connections", "", _whole(1, 100_000_000), None, False,
        "open connections over all workers; beyond that connections of the source with the most are closed, or "
        "accepting pauses [default: from the descriptor limit]",
    ),
    Option(
        "drain-timeout", "", _seconds(0, 3600), "5", False,
        "seconds that a stop may take to read and count what already waits [default: 5]",
    ),
    Option(
        "flush-interval", "", _whole(1, 86_400), "10", False,
        "seconds of an output flush, aligned to the clock: outputs other than /metrics get one result for each "
        "[default: 10]",
    ),
    Option(
        "percentiles", "", parse_percentiles, "90", False,
        "of timers, for the outputs: 90,99.9,-10 (a negative one: of the largest values), or none [default: 90]",
    ),
    Option(
        "timer-fields", "", parse_timer_fields, None, False,
        "the numbers of timers that outputs get, such as count,mean,upper_percent [default: all]",
    ),
    Option(
        "histogram", "", parse_histogram, (), True,
        "bins for timers whose name contains PART: PART=LIMIT,LIMIT,...[,inf]; the first that fits; repeatable",
    ),
    Option(
        "delete-idle", "", parse_idle_kinds, None, False,
        "leave series out of a flush in which nothing came to them: all, or some of counters,gauges,timers,sets "
        "[default: they stay, with zeros]",
    ),
    Option(
        "gauges-ttl", "", _whole(1, 1_000_000), "1", False,
        "with --delete-idle=gauges: flushes that a gauge stays without news [default: 1]",
    ),
    Option(
        "series-ttl", "", _seconds(60, 3650 * _DAY), "604800", False,
        "seconds after which a series that nobody sends any more is forgotten [default: 604800, a week]",
    ),
    Option(
        "max-series", "", _whole(1, 1_000_000_000), "1000000", False,
        "series that are kept; what comes for more is added to one series for all [default: 1000000]",
    ),
    Option(
        "max-series-bytes", "", _whole(1, 1 << 40), str(128 << 20), False,
        "bytes that the names and tags of all series may have, those of a timer five times, as /metrics shows them; "
        "what comes for more is treated as beyond --max-series [default: 134217728, 128 MiB]",
    ),
    Option(
        "graphite", "", parse_graphite, (), True,
        "send flushes to carbon: tcp:HOST:PORT[:protocol=text|pickle][:namespace=legacy|new][:prefix=P][:suffix=S]...; "
        "repeatable",
    ),
    Option("console", "", parse_console, None, False, "print flushes: human or json"),
    Option(
        "repeat", "", parse_repeat, (), True,
        "send accepted lines on to another StatsD server: udp:HOST:PORT or tcp:HOST:PORT; repeatable",
    ),
    Option(
        "output", "", parse_plugin, (), True,
        "send flushes to an output of another package: NAME[:key=value...]; repeatable",
    ),
    Option(
        "output-queue", "", _whole(1, 10_000_000), "8640", False,
        "flushes that may wait for an output that doesn't take them; the oldest go first [default: 8640]",
    ),
    Option(
        "mapping", "", _mapping, None, False,
        "a mapping file of statsd_exporter: names and labels for /metrics [default: none, names as they come]",
    ),
    Option(
        "counter-suffix", "", _counter_suffix, None, False,
        "_total: put it behind the names of the counters in /metrics that don't end in it [default: none]",
    ),
    Option(
        "target-rate", "", _whole(1, 100_000_000), "10000", False,
        "connections per second that the advice about the kernel's settings aims at [default: 10000]",
    ),
    Option(
        "pin", "", _yes, None, False,
        "keep each worker on a processor of its own, beside the network card where that is known [default: no]",
        flag=True,
    ),
    Option(
        "steer", "", _steer, None, False,
        "cpu: a connection goes to the worker of the processor that received it [default: by the kernel's hash]",
    ),
)  # fmt: skip


_OFF: dict[str, Any] = {
    "timer-fields": frozenset(),
    "delete-idle": frozenset(),
    "percentiles": (),
    "counter-suffix": "",
    "http-lifecycle": False,
    "pin": False,
    "steer": "",
}
_MAY_BE_OFF = ("http", "admin", "console", "mapping", *_OFF)


def read_config(path: Path) -> dict[str, list[str]]:
    """Read a TOML file into option name -> values, all still as text.

    Raises `SettingsError` naming the file, and the option or line in it, when it can't be read or holds anything else.
    """
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--config: {path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    known = {option.name: option for option in OPTIONS}
    for name in table:
        if name not in known:
            raise SettingsError(f"{path}: unknown option {name!r}; there are {', '.join(known)}")
    return {name: _texts(path, known[name], value) for name, value in table.items()}


def _texts(path: Path, option: Option, value: object) -> list[str]:
    if option.flag:
        if not isinstance(value, bool):
            raise SettingsError(f"{path}: {option.name}: {value!r} is not true or false")
        return [YES if value else ""]
    values = value if option.repeatable and isinstance(value, list) else [value]
    for item in values:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            wanted = "a list of strings" if option.repeatable else "a string or a number"
            raise SettingsError(f"{path}: {option.name}: {item!r} is not {wanted}")
    return [str(item) for item in values]


def build_settings(
    given: Mapping[str, Sequence[str]], config: Mapping[str, Sequence[str]] | None = None, source: str = ""
) -> Settings:
    """Validate what was given and fill in the defaults.

    ``given`` is the command line's, ``config`` the file's (named ``source`` in errors), both option name -> texts. An
    option given replaces its default list, and an empty text switches it off. Raises `SettingsError`.
    """
    config = config or {}
    values: dict[str, Any] = {}
    for option in OPTIONS:
        if option.name in given:
            values[option.field] = _value(option, given[option.name], f"--{option.name}")
        elif option.name in config:
            values[option.field] = _value(option, config[option.name], f"{source}: {option.name}")
        else:
            values[option.field] = _default(option)
    settings = Settings(**values)
    _check_together(settings)
    return settings


def _default(option: Option) -> Any:
    if option.repeatable:
        return tuple(option.parse(text) for text in option.default)
    return _OFF.get(option.name) if option.default is None else option.parse(option.default)


def _value(option: Option, texts: Sequence[str], where: str) -> Any:
    parsed = [_parse(option, text, where) for text in texts if text]
    if option.repeatable:
        return tuple(parsed)
    if texts[-1]:
        return parsed[-1]
    if option.name in _MAY_BE_OFF:
        return _OFF.get(option.name)
    raise SettingsError(f"{where}: a value is missing")


def _parse(option: Option, text: str, where: str) -> Any:
    try:
        return option.parse(text)
    except EndpointError as error:
        raise SettingsError(f"{where} {text}: {error}") from None
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None


def _check_together(settings: Settings) -> None:
    names = [one.label for one in settings.graphite + settings.repeat + settings.output]
    for name in names:
        if names.count(name) > 1 or (name == "console" and settings.console):
            raise SettingsError(f"--graphite/--repeat/--output: {name} is given twice")
    endpoints = settings.listen + settings.count
    if not endpoints:
        raise SettingsError("--listen and --count are both empty: there is nothing to do")
    labels = [one.label(one.port) for one in endpoints if one.port or one.path or one.name]
    for label in labels:
        if labels.count(label) > 1:
            raise SettingsError(f"--listen/--count: {label} is given twice; name=LABEL tells two listeners apart")
