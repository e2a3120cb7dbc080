"""``statscounter check``: whether a service could be started with these options, as far as they are at fault.

Everything that options name is read as a start reads it, and judged by the same code. Nothing is bound, started or
changed, and the state of this machine does not matter: neither its ports nor the state folder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twisted.python import usage

from statsd_tcp.clock import use_monotonic
from statsd_tcp.commands.usage import EX_USAGE
from statsd_tcp.outputs.plugins import PluginError, make_plugin
from statsd_tcp.settings.build import Place, build_settings, place
from statsd_tcp.settings.config_file import scan_config
from statsd_tcp.settings.long_times import long_times
from statsd_tcp.settings.settings import Settings, SettingsError
from statsd_tcp.startup import tls_faults
from statsd_tcp.tap import Options

__all__ = ["run"]

GOOD, AT_FAULT = 0, 1
"""The exit statuses, besides 64 for a command line that cannot be read."""


class _Options(Options):
    """The options of ``twistd statscounter``."""

    synopsis = "Usage: statscounter check [options]"
    longdesc = (
        "Check the options of twistd statscounter, and the files that they name, without starting anything. "
        "Exit status: 0 good, 1 at fault, 64 wrong command line."
    )

    def parseOptions(self, options: Any = None) -> None:
        """Parse the command line; raises `usage.UsageError`."""
        usage.Options.parseOptions(self, options)


def run(arguments: Sequence[str]) -> int:
    """Check the options, print a line for each fault and each warning, or the sum, and return the exit status."""
    options = _Options()
    try:
        options.parseOptions(list(arguments))
    except usage.UsageError as error:
        print(f"statscounter check: {error} (see statscounter check --help)", file=sys.stderr)
        return EX_USAGE
    settings, faults, where = _read(options)
    if settings is not None:
        for warning in _warnings(settings, where):
            print(f"warning: {warning}", file=sys.stderr)
        faults += _faults_of_files(settings, where)
    for fault in faults:
        print(fault, file=sys.stderr)
    if settings is None or faults:
        return AT_FAULT
    print(f"{options['config'] or 'the command line'} is good: {_sum(settings)}")
    return GOOD


def _read(options: Options) -> tuple[Settings | None, list[str], Place]:
    """Return the settings, if there are any, what is at fault, and how to name the place of an option."""
    texts: dict[str, list[str]] = {}
    faults: list[str] = []
    source, given = options["config"], options.given
    try:
        if source:
            texts, faults = scan_config(Path(source))
        settings = build_settings(given, texts, source)
    except SettingsError as error:
        return None, [*faults, *error.faults], partial(place, given, texts, source)
    return settings, faults, partial(place, given, texts, source)


def _faults_of_files(settings: Settings, where: Place) -> Iterator[str]:
    for fault in tls_faults(settings):
        yield f"{where('listen')} {fault}"
    if settings.remote_write:
        from statsd_tcp.remote_write.credentials import CredentialsError, read_credentials

        for target in settings.remote_write:
            try:
                read_credentials(target)
            except CredentialsError as error:
                yield f"{where('remote-write')} {target.url}: {error}"
    if settings.output:
        from twisted.internet import reactor

        use_monotonic(reactor)
        for spec in settings.output:
            try:
                make_plugin(reactor, spec)
            except PluginError as error:
                # It names the option as the command line has it.
                yield where("output") + str(error).removeprefix("--output")


def _warnings(settings: Settings, where: Place) -> Iterator[str]:
    for name, words in long_times(settings):
        yield f"{where(name)}: {words}"
    if settings.mapping is not None:
        yield from settings.mapping.warnings


def _sum(settings: Settings) -> str:
    parts = [(len(settings.listen) + len(settings.count), "listener")]
    parts += [
        (len(settings.graphite + settings.remote_write + settings.output) + (settings.console is not None), "output")
    ]
    parts += [(len(settings.repeat), "repeater")] if settings.repeat else []
    parts += [(len(settings.mapping.rules), "mapping rule")] if settings.mapping is not None else []
    return ", ".join(f"{number} {what}{'' if number == 1 else 's'}" for number, what in parts)
