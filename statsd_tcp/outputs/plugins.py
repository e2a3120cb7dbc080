"""Other people's outputs: found by their entry points, made from ``--output NAME[:key=value...]``."""

from __future__ import annotations

from typing import Any

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from statsd_tcp.outputs.interfaces import GROUP, IOutput, OutputFactory
from statsd_tcp.settings.outputs import PluginSpec
from statsd_tcp.words import in_words

__all__ = ["PluginError", "make_plugin"]


class PluginError(Exception):
    """An output that cannot be made; the text is one line that begins with the option."""


def make_plugin(reactor: Any, spec: PluginSpec) -> IOutput:
    """Find, load and make an output; raises `PluginError`."""
    from importlib.metadata import entry_points

    where = f"--output {spec.name}"
    found = {point.name: point for point in entry_points(group=GROUP)}
    if spec.name not in found:
        there_are = f"there are {', '.join(sorted(found))}" if found else "none is installed"
        raise PluginError(f"{where}: no installed package has such an output ({there_are})")
    arguments = {key: value for key, value in spec.arguments.items() if key != "name"}
    try:
        factory: OutputFactory = found[spec.name].load()
        output = factory(reactor, arguments)
        verifyObject(IOutput, output)
    except ValueError as error:
        raise PluginError(f"{where}: {error}") from None
    except Invalid:
        raise PluginError(f"{where}: what it makes is no IOutput (docs/outputs.md says what that is)") from None
    except Exception as error:
        raise PluginError(f"{where}: cannot be loaded: {type(error).__name__}: {in_words(error)}") from error
    return output
