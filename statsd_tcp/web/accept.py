"""What a client would rather have: the quality values of its header fields (RFC 9110, section 12.4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

__all__ = ["wants_gzip", "wants_openmetrics"]

_OPENMETRICS = "application/openmetrics-text"
_TEXT = ("text/plain", "text/*", "*/*")

_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_AS_IT_IS = 0.0005
"""What is not named may be sent unless it is excluded, but is less welcome than anything that is named."""


def wants_openmetrics(accept: str) -> bool:
    """Return whether the value of an ``Accept`` field prefers OpenMetrics 1 to the text format, which is the default.

    OpenMetrics has to be named; where both are equally welcome it is preferred.
    """
    openmetrics = text = 0.0
    for media_type, parameters, quality in _choices(accept):
        if media_type == _OPENMETRICS and parameters.get("version", "1").partition(".")[0] == "1":
            openmetrics = max(openmetrics, quality)
        elif media_type in _TEXT:
            text = max(text, quality)
    return openmetrics > 0 and openmetrics >= text


def wants_gzip(accept_encoding: str) -> bool:
    """Return whether the value of an ``Accept-Encoding`` field takes gzip, and at least as gladly as nothing."""
    qualities = {coding: quality for coding, _, quality in _choices(accept_encoding)}
    gzip = qualities.get("gzip", qualities.get("*", 0.0))
    return gzip > 0 and gzip >= qualities.get("identity", _AS_IT_IS)


def _choices(value: str) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Give what a list names, each with its parameters and its quality."""
    for choice in value.split(","):
        name, *rest = (part.strip().lower() for part in choice.split(";"))
        parameters = {key.strip(): text.strip() for key, _, text in (part.partition("=") for part in rest)}
        quality = parameters.get("q", "1")
        if name:
            # A quality that is none says nothing.
            yield name, parameters, float(quality) if _QUALITY.fullmatch(quality) else 1.0
