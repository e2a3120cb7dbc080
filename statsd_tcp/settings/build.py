"""From texts to settings. The command line and the file go through the same rows of `OPTIONS`.

So they take the same values and give the same errors; the command line wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, ip_network
from typing import Any

import msgspec

from statsd_tcp.settings.endpoints import Endpoint, EndpointError
from statsd_tcp.settings.options import MOST_LISTENERS, OPTIONS, Option
from statsd_tcp.settings.settings import Settings, SettingsError
from statsd_tcp.settings.source_limits import MOST_SOURCES_EXEMPT
from statsd_tcp.words import in_words

__all__ = ["Place", "build_settings", "place"]

Place = Callable[..., str]
"""Returns how errors name the place of an option, by the option's name."""

_LONGEST_VALUE = 4096
"""Characters of a value: as long as a path may be, and short enough for Python to read it as one number."""

_OFF: dict[str, Any] = {
    "timer-fields": frozenset(),
    "delete-idle": frozenset(),
    "percentiles": (),
    "counter-suffix": "",
    "http-lifecycle": False,
    "hide-bad-lines": False,
    "pin": False,
    "rename-node": False,
    "steer": "",
}
_MAY_BE_OFF = ("http", "admin", "console", "mapping", "who-names", *_OFF)


def build_settings(
    given: Mapping[str, Sequence[str]], config: Mapping[str, Sequence[str]] | None = None, source: str = ""
) -> Settings:
    """Validate what was given and fill in the defaults.

    ``given`` is the command line's, ``config`` the file's (named ``source`` in errors), both option name -> texts. An
    option given replaces its default list, and an empty text switches it off. Raises `SettingsError` with all faults.
    """
    config = config or {}
    texts = {name: tuple(chosen) for name, chosen in {**config, **given}.items()}
    values: dict[str, Any] = {"given": texts, "source": source}
    faults: list[str] = []
    where = partial(place, given, config, source)
    for option in OPTIONS:
        try:
            if option.name in texts:
                values[option.field] = _value(option, texts[option.name], where(option.name))
            else:
                values[option.field] = _default(option)
        except SettingsError as error:
            faults += error.faults
    if not faults:
        settings = _of_node(Settings(**values))
        faults += _contradictions(settings, where)
    if faults:
        raise SettingsError(*faults)
    return settings


def _of_node(settings: Settings) -> Settings:
    """Return settings with the name of the node wherever outputs send it."""
    outputs = settings.graphite + settings.remote_write
    return msgspec.structs.replace(
        settings,
        graphite=tuple(target.of_node(settings.node) for target in settings.graphite),
        remote_write=tuple(target.of_node(settings.node) for target in settings.remote_write),
        may_rename=settings.rename_node or not any(target.has_node for target in outputs),
    )


def place(given: Container[str], config: Container[str], source: str, *names: str) -> str:
    """Name the place of options in errors: in the file if one of them is there alone, else on the command line."""
    in_file = any(name in config and name not in given for name in names)
    return f"{source}: {'/'.join(names)}" if in_file else "/".join(f"--{name}" for name in names)


def _default(option: Option) -> Any:
    if option.repeatable:
        return tuple(option.parse(text) for text in option.default)
    return _OFF.get(option.name) if option.default is None else option.parse(option.default)


def _value(option: Option, texts: Sequence[str], where: str) -> Any:
    parsed: list[Any] = []
    faults: list[str] = []
    for text in filter(None, texts):
        try:
            parsed.append(_parse(option, text, where))
        except SettingsError as error:
            faults += error.faults
    if faults:
        raise SettingsError(*faults)
    if option.repeatable:
        return tuple(parsed)
    if texts[-1]:
        return parsed[-1]
    if option.name in _MAY_BE_OFF:
        return _OFF.get(option.name)
    raise SettingsError(f"{where}: a value is missing")


def _parse(option: Option, text: str, where: str) -> Any:
    if len(text) > _LONGEST_VALUE:
        raise SettingsError(f"{where}: the value is longer than {_LONGEST_VALUE:,} characters")
    try:
        return option.parse(text)
    except EndpointError as error:
        raise SettingsError(f"{where} {text}: {error}") from None
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None
    except (RuntimeError, OSError, OverflowError) as error:
        # Such as ~user, if there is no such user.
        raise SettingsError(f"{where}: {in_words(error)}") from None


def _contradictions(settings: Settings, where: Place) -> Iterator[str]:
    """Yield a line for all that cannot be together."""
    outputs = Counter(
        one.label for one in settings.graphite + settings.remote_write + settings.repeat + settings.output
    )
    for name, times in outputs.items():
        if times > 1 or (name == "console" and settings.console):
            yield f"{where('graphite', 'remote-write', 'repeat', 'output')}: {name} is given twice"
    endpoints = settings.listen + settings.count
    if not endpoints:
        yield f"{where('listen', 'count')}: both are empty: there is nothing to do"
    if len(endpoints) > MOST_LISTENERS:
        yield f"{where('listen', 'count')}: {len(endpoints)} listeners; there may be at most {MOST_LISTENERS}"
    labels = Counter(one.label(one.port) for one in endpoints if one.port or one.path or one.name)
    for label, times in labels.items():
        if times > 1:
            yield f"{where('listen', 'count')}: {label} is given twice; name=LABEL tells two listeners apart"
    yield from _shared_ports(settings, where)
    yield from _exempt_sources(settings, where)


def _exempt_sources(settings: Settings, where: Place) -> Iterator[str]:
    """Yield a line for networks that cannot be without limits."""
    named, networks = where("source-exempt"), settings.source_exempt
    if len(networks) > MOST_SOURCES_EXEMPT:
        yield f"{named}: {len(networks)} networks; there may be at most {MOST_SOURCES_EXEMPT}"
    for network in map(ip_network, networks):
        bits = settings.who_mask.ipv4 if isinstance(network, IPv4Network) else settings.who_mask.ipv6
        if network.prefixlen > bits:
            yield f"{named}: {network} is smaller than a source, of whose address {bits} bits are kept (--who-mask)"


def _shared_ports(settings: Settings, where: Place) -> Iterator[str]:
    """Yield a line for each port of ours that has another use, too.

    The kernel would let both bind: clients on this machine would then reach the one with the narrower address.
    """
    taken = [one for one in settings.listen + settings.count if one.scheme in {"tcp", "ssl"}]
    for name, ours in (("http", settings.http), ("admin", settings.admin)):
        if ours is None or not ours.port:
            continue
        if any(_overlap(ours, other) for other in taken):
            remedy = f"--{name} tcp:PORT moves it, --{name}= switches it off"
            yield f"{where(name)}: port {ours.port} is given twice: {remedy}"
        taken.append(ours)


def _overlap(one: Endpoint, other: Endpoint) -> bool:
    return one.port == other.port and (one.interface == other.interface or None in {one.interface, other.interface})
