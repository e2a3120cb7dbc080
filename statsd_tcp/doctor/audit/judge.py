"""The audit of a whole text, a sysctl file, a script or a page: the settings in it, and what they are worth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from statsd_tcp.doctor.audit.commands import COMMANDS
from statsd_tcp.doctor.audit.opinion import Grade, Opinion, Remark
from statsd_tcp.doctor.audit.plain_settings import PLAIN_RULES
from statsd_tcp.doctor.audit.settings import RULES
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.probes import Unread

__all__ = ["audit", "status"]

# net.core.somaxconn = 32768     net/core/somaxconn=32768     sysctl -w net.core.somaxconn="32768"     <pre>net.core...
_ASSIGNMENT = re.compile(
    r"(?:^|[\s`'\">])-?(?P<name>(?:net|fs|vm|kernel|dev)[./][\w./*-]+?)\s*=\s*[\"']?(?P<value>[^\"'#;`|&<]+)"
)
# echo 32768 > /proc/sys/net/core/somaxconn
_ECHO = re.compile(r"echo\s+[\"']?(?P<value>[^\"'>]+?)[\"']?\s*>\s*/proc/sys/(?P<name>[\w./-]+)")
_COMMENT = re.compile(r"^\s*[#;]\s*-?(net|fs|vm|kernel)[./]")


def audit(text: str, facts: Facts, goal: Goal) -> list[Remark]:
    """Judge every setting in a text of any kind; one that is not known gets a remark as well."""
    found: list[Remark] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not _COMMENT.match(line):
            found += (Remark(number, subject, opinion) for subject, opinion in _judged(line.strip(), facts, goal))
    return found


def status(remarks: Sequence[Remark]) -> int:
    """Return the exit status: 0 nothing wrong, 1 outdated, irrelevant or wrong advice, 2 harmful advice."""
    grades = {remark.opinion.grade for remark in remarks}
    if Grade.HARMFUL in grades:
        return 2
    return 1 if grades & {Grade.OUTDATED, Grade.IRRELEVANT, Grade.WRONG, Grade.UNKNOWN} else 0


def _judged(line: str, facts: Facts, goal: Goal) -> Iterator[tuple[str, Opinion]]:
    for match in (*_ASSIGNMENT.finditer(line), *_ECHO.finditer(line)):
        name = match["name"].replace("/", ".") if "/" in match["name"] else match["name"]
        value = " ".join(match["value"].split())
        yield f"{name} = {value}", _opinion(name, value, facts, goal)
    for pattern, judge in COMMANDS:
        for match in pattern.finditer(line):
            yield " ".join(match[0].split()), judge(match["value"], goal)


def _opinion(name: str, value: str, facts: Facts, goal: Goal) -> Opinion:
    number = re.match(r"\d{1,20}(?!\d)", value)
    if name in RULES:
        if number is None:
            return Opinion(Grade.WRONG, f"{value!r} is not a number", "sysctl(8)")
        return RULES[name](int(number[0]), facts, goal)
    for pattern, opinion in PLAIN_RULES:
        if pattern.match(name):
            return opinion
    return _unknown(name, facts)


def _unknown(name: str, facts: Facts) -> Opinion:
    try:
        facts.sysctl(name)
    except Unread as reason:
        return Opinion(Grade.UNKNOWN, f"not known to the doctor, and not found here ({reason})", "sysctl(8)")
    return Opinion(Grade.UNKNOWN, "not known to the doctor; this kernel has it", "sysctl(8)")
