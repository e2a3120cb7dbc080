"""A second reading of the grammar, written for clarity and apart from the real one.

It looks at a line from left to right, collects everything that is wrong with it, and then names what comes first in
the order of precedence. It shares no code with the package but the names of the reasons.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["PRECEDENCE", "oracle"]

PRECEDENCE: Final = (
    "line_too_long",
    "not_utf8",
    "malformed_line",
    "empty_name",
    "mixed_tagging_styles",
    "too_many_tags",
    "identity_too_long",
    "unknown_type",
    "unit_conflict",
    "invalid_sample_rate",
    "malformed_value",
)

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_EVENT: Final = re.compile(r"_e\{[0-9]+,[0-9]+\}:[^|]+\|")
_CHECK: Final = re.compile(r"_sc\|[^|]+\|[0123](\||$)")
_MOST: Final = 2**53

Meaning = tuple[str, float | str, float, bool]


class Verdict(NamedTuple):
    """What a line means: its samples as (kind, value, weight, relative), name and tags, or a reason."""

    what: str
    name: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    samples: tuple[Meaning, ...] = ()
    bad_tags: int = 0
    reason: str = ""


def oracle(line: bytes, max_line: int = 8192, *, signed: bool = True) -> Verdict:
    """Read a line with all tag styles on."""
    if line in (b"", b"\r"):
        return Verdict("empty")
    if len(line) > max_line:
        return Verdict("bad", reason="line_too_long")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return Verdict("bad", reason="not_utf8")
    text = text.removesuffix("\r")
    if text.startswith("_e{"):
        return Verdict("event") if _EVENT.match(text) else Verdict("bad", reason="malformed_line")
    if text.startswith("_sc|"):
        return Verdict("service_check") if _CHECK.match(text) else Verdict("bad", reason="malformed_line")
    flaws: set[str] = set()
    verdict = _Reading(text, flaws, signed=signed).verdict()
    for reason in PRECEDENCE:
        if reason in flaws:
            return Verdict("bad", reason=reason)
    return verdict


class _Reading:
    """One line being read."""

    def __init__(self, text: str, flaws: set[str], *, signed: bool) -> None:
        self.text = text
        self.flaws = flaws
        self.signed = signed
        self.samples: list[Meaning] = []
        self.kinds: set[str] = set()
        self.section = ""
        self.written = 0

    def verdict(self) -> Verdict:
        head, colon, rest = self.text.partition(":")
        if not colon or "|" in head:
            self.flaws.add("malformed_line")
        name, tags, bad = self.read_name(head)
        self.read_samples(rest)
        more, worse = self.read_section()
        if tags and more:
            self.flaws.add("mixed_tagging_styles")
        if "ms" in self.kinds and self.kinds & {"h", "d"}:
            self.flaws.add("unit_conflict")
        if not name:
            self.flaws.add("empty_name")
        unique = tuple(sorted({**tags, **more}.items()))
        if self.written > 256:
            self.flaws.add("too_many_tags")
        if len(name.encode()) + sum(2 + len(key.encode()) + len(value.encode()) for key, value in unique) > 8192:
            self.flaws.add("identity_too_long")
        return Verdict("samples", name, unique, tuple(self.samples), bad + worse)

    def read_name(self, head: str) -> tuple[str, dict[str, str], int]:
        at = 0
        while at < len(head) and head[at] not in ",#;[":
            at += 1
        if at == len(head):
            return head, {}, 0
        if head[at] != "[":
            tags, bad = self.pairs(head[at + 1 :], ";" if head[at] == ";" else ",")
            return head[:at], tags, bad
        if "]" not in head[at:]:
            return head, {}, 1
        inner, _, after = head[at + 1 :].partition("]")
        if set(after) & set(",#;["):
            self.flaws.add("mixed_tagging_styles")
        tags, bad = self.pairs(inner, ",")
        return head[:at] + after, tags, bad

    def pairs(self, text: str, separator: str) -> tuple[dict[str, str], int]:
        tags, bad = {}, 0
        for tag in text.split(separator) if text else []:
            self.written += 1
            found = re.fullmatch(r"([^=]+)=(.+)", tag, re.DOTALL)
            if found:
                tags[found[1]] = found[2]
            else:
                bad += 1
        return tags, bad

    def read_section(self) -> tuple[dict[str, str], int]:
        tags, bad = {}, 0
        for tag in self.section.split(",") if self.section else []:
            self.written += 1
            found = re.fullmatch(r"([^:]+)(?::(.+))?", tag, re.DOTALL)
            if found:
                tags[found[1]] = found[2] or ""
            else:
                bad += 1
        return tags, bad

    def read_samples(self, rest: str) -> None:
        """Read ``values|type|sections``, once or more."""
        while True:
            values, bar, rest = rest.partition("|")
            if not bar:
                self.flaws.add("malformed_line")
                return
            kind, colon, after = re.match(r"([^|:]*)(:?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
            if not kind:
                self.flaws.add("malformed_line")
            if kind == "s" and colon:
                self.flaws.add("unknown_type")
            if colon and kind != "s":
                self.add(kind, values, "1")
                rest = after
                continue
            rate, following = self.read_sections(rest.partition("|")[2], kind)
            self.add(kind, values, rate)
            if following is None:
                return
            rest = following

    def read_sections(self, text: str, kind: str) -> tuple[str, str | None]:
        """Return the rate, and what follows the colon in a rate field if another sample begins there."""
        rate = "1"
        while text:
            section, _, after = text.partition("|")
            if section.startswith("@"):
                rate = section[1:]
                if ":" in rate and kind != "s":
                    rate = rate[: rate.index(":")]
                    return rate, text.partition(":")[2]
            elif section.startswith("#"):
                self.section = section[1:]
            elif section and not re.match(r"[A-Za-z]", section):
                self.flaws.add("malformed_line")
            text = after
        return rate, None

    def add(self, kind: str, values: str, rate_text: str) -> None:
        self.kinds.add(kind)
        if kind not in {"c", "g", "ms", "h", "d", "s"}:
            self.flaws.add("unknown_type")
            return
        rate = self.number(rate_text)
        if rate is None or not 0 < rate <= 1 or 1 / rate > _MOST:
            self.flaws.add("invalid_sample_rate")
            return
        if kind == "s":
            if not values:
                self.flaws.add("malformed_value")
            self.samples.append(("s", values, 1.0, False))
            return
        for text in values.split(":"):
            self.add_number(kind, text, 1.0 if kind == "g" else rate)

    def add_number(self, kind: str, text: str, rate: float) -> None:
        number = self.number(text)
        if number is None or abs(number / rate) > _MOST:
            self.flaws.add("malformed_value")
            return
        relative = kind == "g" and self.signed and text[0] in "+-"
        self.samples.append((kind, number / rate if kind == "c" else number, 1 / rate, relative))

    def number(self, text: str) -> float | None:
        if not _NUMBER.fullmatch(text) or abs(float(text)) > _MOST:
            return None
        return float(text)
