"""The words of the audit: what advice is worth, and why."""

from __future__ import annotations

from enum import StrEnum

import msgspec

__all__ = ["Grade", "Opinion", "Remark"]


class Grade(StrEnum):
    """What a line of advice is worth to a server that accepts short connections, here."""

    RIGHT = "right"
    OUTDATED = "outdated"
    IRRELEVANT = "irrelevant"
    WRONG = "wrong"
    HARMFUL = "harmful"
    UNKNOWN = "unknown"


class Opinion(msgspec.Struct, frozen=True):
    """A grade with its reason and where that can be read up."""

    grade: Grade
    why: str
    source: str


class Remark(msgspec.Struct, frozen=True):
    """An opinion on one setting in one line of the advice: the number of the line, and what it sets."""

    line: int
    subject: str
    opinion: Opinion
