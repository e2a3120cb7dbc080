"""The configuration file: TOML with the names of the options."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from statsd_tcp.settings.options import OPTIONS, Option
from statsd_tcp.settings.scalars import YES
from statsd_tcp.settings.settings import SettingsError

__all__ = ["read_config", "scan_config"]

_KNOWN = {option.name: option for option in OPTIONS}

_OTHER_NUMBER = {
    option.name.removesuffix("s") if option.name.endswith("s") else f"{option.name}s": option
    for option in OPTIONS
    if option.takes_list
}
"""The names of lists in the singular, ``percentile``, or in the plural, ``outputs``: both are easily written."""

_WORD_ENDS = re.compile(r"_|(?<=[a-z])(?=[A-Z])")

_LONGEST_NAME = 40
"""Characters: no option has more, and a comparison takes the square of that."""

_ITEMS_SHOWN = 50
"""Of a list; more do not fit in a line."""

_ALIKE = 0.8
"""A few letters of a name may be others."""


def read_config(path: Path) -> dict[str, list[str]]:
    """Read a TOML file into option name -> values, all still as text.

    Raises `SettingsError` naming the file, and the option or line in it, when it cannot be read or holds anything else.
    """
    texts, faults = scan_config(path)
    if faults:
        raise SettingsError(*faults)
    return texts


def scan_config(path: Path) -> tuple[dict[str, list[str]], list[str]]:
    """Read what can be read of a file, as `read_config` does, and return a line for each fault as well.

    Raises `SettingsError` when it cannot be read at all.
    """
    texts: dict[str, list[str]] = {}
    faults: list[str] = []
    try:
        for name, value in _table(path).items():
            try:
                option = _find(path, name, texts)
                texts[option.name] = _texts(path, option, value)
            except SettingsError as error:
                faults += error.faults
    except RecursionError:
        # Also where a value that is nested so deeply is to be shown.
        raise SettingsError(f"{path}: tables and lists in it are nested too deeply") from None
    return texts, faults


def _table(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--config: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: byte {error.start + 1} of the file is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    except ValueError:
        # Python's own limit, whose text is advice to programmers.
        raise SettingsError(f"{path}: a number in it has too many digits") from None


def _find(path: Path, name: str, others: Container[str]) -> Option:
    option = _KNOWN.get(name) or _OTHER_NUMBER.get(name)
    if option is None:
        raise SettingsError(f"{path}: unknown option {name!r:.100}; {_meant(name)} are {', '.join(_KNOWN)}")
    if option.name in others:
        raise SettingsError(f"{path}: {name}: it is there in the singular and in the plural")
    return option


def _meant(name: str) -> str:
    """Begin the list of options with the one that is spelled nearly so: etsy's are spelled ``flushInterval``."""
    from difflib import get_close_matches

    spelled = _WORD_ENDS.sub("-", name[:_LONGEST_NAME]).lower()
    close = get_close_matches(spelled, _KNOWN, 1, _ALIKE)
    return f"did you mean {close[0]}? There" if close else "there"


def _texts(path: Path, option: Option, value: object) -> list[str]:
    """Return the texts that the command line would have had for a value; raises `SettingsError`."""
    where = f"{path}: {option.name}"
    if option.flag:
        if not isinstance(value, bool):
            raise SettingsError(f"{where}: {_shown(value)} is not true or false")
        return [YES if value else ""]
    items = value if option.takes_list and isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise SettingsError(f"{where}: {_shown(item)} is not {_wanted(option, item)}")
    texts = [str(item) for item in items]
    return [",".join(texts)] if option.separated else texts


def _wanted(option: Option, value: object) -> str:
    if option.takes_list:
        return f"a string or a number, or a list of them, as {option.name} = {option.example}"
    return "a string or a number" + ("; there is one value, and no list" if isinstance(value, list) else "")


def _shown(value: object) -> str:
    """Return a value of a file as an error line shows it, in TOML's words: it may be of any size."""
    match value:
        case dict():
            return "a table"
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(_shown, value[:_ITEMS_SHOWN])):.98}]"
        case str() | int() | float():
            return f"{value!r:.100}"
        case _:
            return f"the date or time {value}"
