"""A second reading of the grammar, written for clarity and apart from the real one.

It looks at a line from left to right, collects everything that is wrong with it, and then names what comes first in
the order of precedence. It shares no code with the package but the names of the reasons.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from typing import Final, NamedTuple

__all__ = ["PRECEDENCE", "oracle"]

PRECEDENCE: Final = (
    "line_too_long",
    "not_utf8",
    "proxy_header",
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
_PAIR: Final = re.compile(r"([^=,#;\[\]]+)=(.+)", re.DOTALL)
_BLANKS: Final = " \t\r\v\f"
_MOST: Final = 2**53

Meaning = tuple[str, float | str, float, bool]


class Verdict(NamedTuple):
    """What a line means: its samples as (kind, value, weight, relative), name and tags, or a reason, or both."""

    what: str
    name: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    samples: tuple[Meaning, ...] = ()
    bad_tags: int = 0
    reason: str = ""


def oracle(line: bytes, max_line: int = 8192, *, signed: bool = True, packed: Collection[str] = "hd") -> Verdict:
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
    verdict = _Reading(text, flaws, signed=signed, packed=packed).verdict()
    if "malformed_line" in flaws and text.startswith(("PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN")):
        flaws.add("proxy_header")
    for reason in PRECEDENCE:
        if reason in flaws:
            return Verdict("bad", reason=reason)
    return verdict


class _Reading:
    """One line being read."""

    def __init__(self, text: str, flaws: set[str], *, signed: bool, packed: Collection[str]) -> None:
        self.text = text
        self.flaws = flaws
        self.signed = signed
        self.samples: list[Meaning] = []
        self.kinds: set[str] = set()
        self.sections: list[str] = []
        self.drafts: list[tuple[str, str, str]] = []
        self.untyped = self.shown = False
        self.packed = packed
        self.written = 0

    def verdict(self) -> Verdict:
        head, colon, rest = self.text.partition(":")
        if not colon:
            self.flaws.add("malformed_line")
        name, tags, bad = self.read_name(head)
        self.read_samples(rest)
        for draft in self.drafts:
            self.add(*draft)
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
        reason = "malformed_line" if self.untyped else ""
        return Verdict("samples", name, unique, tuple(self.samples), bad + worse, reason)

    def read_name(self, head: str) -> tuple[str, dict[str, str], int]:
        if "=" not in head:
            return head, {}, 0
        if ("[" in head) != ("]" in head):
            return head, {}, 0 if not set(head) & set(",#;[]") else 1
        begun = self.begin(head)
        if begun is None:
            return head, {}, 0
        start, end, separator = begun
        inner = head[start + 1 : end - 1] if separator == "]" else head[start + 1 : end]
        tags, bad = self.pairs(inner, ";" if separator == ";" else ",")
        after = head[end:]
        if self.begin(after) is not None:
            self.flaws.add("mixed_tagging_styles")
        return head[:start] + after, tags, bad

    def begin(self, text: str) -> tuple[int, int, str] | None:
        """Find where tags begin: the first delimiter with a pair right behind it, else the first with one anywhere."""
        found: list[tuple[bool, int, int, str]] = []
        for inner in re.finditer(r"\[([^\[\]]*)\]", text):
            pairs = [bool(_PAIR.fullmatch(tag)) for tag in inner[1].split(",")]
            if any(pairs) and not self.is_text(inner[1], ","):
                found.append((not pairs[0], inner.start(), inner.end(), "]"))
                break
        for delimiter in ",#;":
            start = text.find(delimiter)
            if start >= 0:
                separator = ";" if delimiter == ";" else ","
                pairs = [bool(_PAIR.fullmatch(tag)) for tag in text[start + 1 :].split(separator)]
                if any(pairs) and not self.is_text(text[start + 1 :], separator):
                    found.append((not pairs[0], start, len(text), delimiter))
        return min(found)[1:] if found else None

    def is_text(self, text: str, separator: str) -> bool:
        """Return whether a key has a blank."""
        return any(set(found[1]) & set(_BLANKS) for tag in text.split(separator) if (found := _PAIR.fullmatch(tag)))

    def pairs(self, text: str, separator: str) -> tuple[dict[str, str], int]:
        tags, bad = {}, 0
        for tag in text.split(separator):
            self.written += 1
            found = _PAIR.fullmatch(tag)
            if found:
                tags[found[1]] = found[2]
            else:
                bad += 1
        return tags, bad

    def read_section(self) -> tuple[dict[str, str], int]:
        tags, bad = {}, 0
        for section in self.sections:
            for tag in section.split(","):
                self.written += 1
                bare = tag.lstrip("#")
                found = re.fullmatch(r"([^:]+):(.+)", bare, re.DOTALL) or (
                    None if ":" in bare else re.fullmatch(r"([^=]+)(?:=(.+))?", bare, re.DOTALL)
                )
                if found:
                    tags[found[1]] = found[2] or ""
                else:
                    bad += 1
        return tags, bad

    def read_samples(self, rest: str) -> None:
        """Read ``values|type|sections``, once or more."""
        values, bar, rest = rest.partition("|")
        if not bar:
            self.flaws.add("malformed_line")
        while bar:
            kind, colon, after = re.match(r"([^|:]*)(:?)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
            kind = kind.rstrip(_BLANKS).lstrip(" ")
            if not kind:
                self.flaws.add("malformed_line")
            rate, following = "1", after
            if not colon:
                rate, found = self.read_sections(rest.partition("|")[2])
                if found is None:
                    self.drafts.append((kind, values, rate))
                    return
                following = found
            self.drafts.append((kind, values, rate))
            values, bar, rest = following.partition("|")
        self.untyped = True

    def read_sections(self, text: str) -> tuple[str, str | None]:
        """Return the rate, and what follows the colon in a rate field if another sample begins there."""
        rate = "1"
        while text:
            section, _, after = text.partition("|")
            if section.startswith("@"):
                rate = section[1:]
                if ":" in rate:
                    rate = rate[: rate.index(":")]
                    return rate, text.partition(":")[2]
            elif section.startswith("#"):
                self.shown = True
                if section != "#":
                    self.sections.append(section[1:])
            elif re.match(r"[A-Za-z]", section):
                self.shown = True
            elif section:
                self.flaws.add("malformed_line")
            text = after
        return rate, None

    def add(self, kind: str, values: str, rate_text: str) -> None:
        self.kinds.add(kind)
        if kind not in {"c", "g", "ms", "h", "d", "s"}:
            self.flaws.add("unknown_type")
            return
        rate = self.number(rate_text.strip(_BLANKS))
        if rate is None or not 0 < rate <= 1 or 1 / rate > _MOST:
            self.flaws.add("invalid_sample_rate")
            return
        if kind == "s":
            if not values:
                self.flaws.add("malformed_value")
            self.samples.append(("s", values, 1.0, False))
            return
        texts = [text.strip(_BLANKS) for text in values.split(":")]
        if self.shown or kind in self.packed:
            texts = [text for text in texts if text] or [""]
        elif len(texts) > 1:
            self.untyped = True
            texts = texts[-1:]
        for text in texts:
            self.add_number(kind, text, 1.0 if kind == "g" else rate)

    def add_number(self, kind: str, text: str, rate: float) -> None:
        number = self.number(text)
        relative = kind == "g" and self.signed and text[:1] in ("+", "-")
        limit = (2**64 if relative else math.inf) if kind == "g" else _MOST
        if number is None or abs(number / rate) > limit:
            self.flaws.add("malformed_value")
            return
        self.samples.append((kind, number / rate if kind == "c" else number, 1 / rate, relative))

    def number(self, text: str) -> float | None:
        """Return a finite decimal."""
        if not _NUMBER.fullmatch(text) or math.isinf(float(text)):
            return None
        return float(text)
