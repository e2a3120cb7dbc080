"""The options in force, written as the file that gives them again; what may be secret is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from statsd_tcp.settings.options import OPTIONS, Option
from statsd_tcp.settings.scalars import YES
from statsd_tcp.settings.settings import Settings

__all__ = ["config_text"]

_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}|-?(?:0|[1-9][0-9]{0,8})\.(?:0|[0-9]{0,3}[1-9])")
"""Numbers that are the same text again when they have been read."""

_STATED = re.compile(r"\[default: (.*)\]")


def config_text(settings: Settings) -> str:
    """Write a line for each option: with its value, or a comment where there is none that could stand in a file."""
    return "".join(f"{_line(option, settings.given.get(option.name))}\n" for option in OPTIONS)


def _line(option: Option, given: Sequence[str] | None) -> str:
    if option.flag:
        return f"{option.name} = {'true' if given and given[-1] == YES else 'false'}"
    if given is None and option.default is None:
        stated = _STATED.search(option.help)
        return f"# {option.name}: {stated[1] if stated else 'none'}"
    if given is None:
        given = option.default if option.repeatable else [option.default]
    if option.secret and any(":" in text for text in given):
        names = ", ".join(_string(text.partition(":")[0]) for text in given)
        return f"# {option.name}: {names}; arguments are not shown, they may be secret"
    return f"{option.name} = {_value(option, given)}"


def _value(option: Option, texts: Sequence[str]) -> str:
    if option.repeatable:
        return _list(texts)
    if option.separated and "," in texts[-1]:
        return _list(texts[-1].split(","))
    return _scalar(texts[-1])


def _list(texts: Sequence[str]) -> str:
    return f"[{', '.join(_scalar(text.strip()) for text in texts if text)}]"


def _scalar(text: str) -> str:
    return text if _NUMBER.fullmatch(text) else _string(text)


def _string(text: str) -> str:
    # TOML's strings are JSON's, except for the last control character. Paths that are no UTF-8 cannot be written.
    return json.dumps(text.encode(errors="replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")
