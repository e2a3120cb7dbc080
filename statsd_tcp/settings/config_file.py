"""The configuration file: TOML with the names of the options."""

from __future__ import annotations

from pathlib import Path

from statsd_tcp.settings.options import OPTIONS, Option
from statsd_tcp.settings.scalars import YES
from statsd_tcp.settings.settings import SettingsError

__all__ = ["read_config"]


def read_config(path: Path) -> dict[str, list[str]]:
    """Read a TOML file into option name -> values, all still as text.

    Raises `SettingsError` naming the file, and the option or line in it, when it can't be read or holds anything else.
    """
    try:
        return _read_table(path)
    except RecursionError:
        # Also where a value that is nested so deeply is to be shown.
        raise SettingsError(f"{path}: tables and lists in it are nested too deeply") from None


def _shown(value: object) -> str:
    """Return a value of a file as an error line shows it: it may be of any size."""
    return "a table" if isinstance(value, dict) else f"{value!r:.100}"


def _read_table(path: Path) -> dict[str, list[str]]:
    import tomllib

    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"--config: {path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    except ValueError:
        # Python's own limit, whose text is advice to programmers.
        raise SettingsError(f"{path}: a number in it has too many digits") from None
    known = {option.name: option for option in OPTIONS}
    for name in table:
        if name not in known:
            raise SettingsError(f"{path}: unknown option {name!r}; there are {', '.join(known)}")
    return {name: _texts(path, known[name], value) for name, value in table.items()}


def _texts(path: Path, option: Option, value: object) -> list[str]:
    if option.flag:
        if not isinstance(value, bool):
            raise SettingsError(f"{path}: {option.name}: {_shown(value)} is not true or false")
        return [YES if value else ""]
    values = value if option.repeatable and isinstance(value, list) else [value]
    for item in values:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            wanted = "a list of strings" if option.repeatable else "a string or a number"
            raise SettingsError(f"{path}: {option.name}: {_shown(item)} is not {wanted}")
    return [str(item) for item in values]
