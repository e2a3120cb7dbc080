"""The settings in force, written for the console: a name and a value, groups as ``group > key``."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from statsd_tcp.settings.outputs import PluginSpec
from statsd_tcp.settings.table import OPTIONS, Settings

__all__ = ["settings_rows"]


def settings_rows(settings: Settings) -> Iterator[tuple[str, object]]:
    """Give the options by their names, with what was chosen or is the default."""
    for option in OPTIONS:
        yield from _rows(option.name, getattr(settings, option.field))


def _rows(name: str, value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, tuple | AbstractSet):
        for index, item in enumerate(sorted(value) if isinstance(value, AbstractSet) else value):
            yield from _rows(f"{name} > {index}", item)
    elif isinstance(value, PluginSpec):
        # Its arguments may hold a password.
        yield name, value.label
    elif isinstance(value, msgspec.Struct) and type(value).__str__ is object.__str__:
        for field in value.__struct_fields__:
            yield from _rows(f"{name} > {field}", getattr(value, field))
    else:
        yield name, _written(value)


def _written(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return "" if value is None else value
