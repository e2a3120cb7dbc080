"""The file etc/statscounter.toml, made of the options: ``python -m tests.option_file`` writes it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.config_text import config_text
from statsd_tcp.settings.options import OPTIONS

__all__ = ["FILE", "given", "written"]

FILE = Path(__file__).parents[1] / "etc" / "statscounter.toml"

_WIDTH = 100

_HEAD = """\
# Configuration of statscounter: every option, with its default or, where that depends on the machine, an example.
# Take the # away from a line that begins with a name, and change the value. Then
#
#     statscounter check --config /etc/statscounter.toml
#
# says whether the file is good, and a reload puts it in force.
"""

_EXAMPLES = {
    "http-host": '["metrics.example.org"]',
    "workers": "4",
    "who-names": '"/etc/statscounter/names"',
    "who-to": '["10.0.0.0/8"]',
    "state-dir": '"/var/lib/statscounter"',
    "source-exempt": '["10.0.0.0/8"]',
    "max-connections": "100000",
    "mapping": '"/etc/statscounter/mapping.yml"',
    "counter-suffix": '"_total"',
    "graphite": '["tcp:graphite.example.org:2003"]',
    "remote-write": '["https://metrics.example.org/api/v1/write"]',
    "console": '"human"',
    "output": '["NAME:key=value"]',
    "repeat": '["udp:other.example.org:8125"]',
    "timer-fields": '["count", "mean", "upper_percent"]',
    "histogram": '["render=10,100,inf"]',
    "delete-idle": '["counters", "timers"]',
    "steer": '"cpu"',
}
"""Values for options whose default is nothing, or cannot stand in a file."""

_SETTING = re.compile(r"^#([a-z-]+) = (.*)$", re.MULTILINE)


def written() -> str:
    """Return the text of the file."""
    defaults = dict(
        line.split(" = ", 1) for line in config_text(build_settings({})).splitlines() if not line.startswith("#")
    )
    parts = [_HEAD]
    for option in OPTIONS:
        value = _EXAMPLES.get(option.name) or defaults[option.name]
        words = textwrap.wrap(option.help, _WIDTH, break_on_hyphens=False, break_long_words=False)
        parts.append("\n".join([*(f"# {line}" for line in words), f"#{option.name} = {value}\n"]))
    return "\n".join(parts)


def given() -> str:
    """Return the file with all its settings in force, except for what needs a file or a package of the reader's."""
    text = _SETTING.sub(r"\1 = \2", FILE.read_text())
    return re.sub(r"^((?:mapping|output|who-names) = )", r"#\1", text, flags=re.MULTILINE)


if __name__ == "__main__":
    FILE.write_text(written())
