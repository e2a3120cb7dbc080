"""Values on the command line: read and checked, for ``type=`` of ``argparse``."""

from __future__ import annotations

import argparse
import math
from urllib.parse import urlsplit

__all__ = ["count", "not_negative", "positive", "service_url", "why_not"]


def positive(text: str) -> float:
    """Read a number above 0."""
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def not_negative(text: str) -> float:
    """Read a number that is 0 or more."""
    value = _number(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return value


def count(text: str) -> int:
    """Read a whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def service_url(text: str) -> str:
    """Read the address of the service's pages; that of one of the pages will do."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{text!r} is not the service's address, as http://127.0.0.1:9102")
    return text.rstrip("/").removesuffix("/api/v1/status").removesuffix("/metrics")


def why_not(error: Exception) -> str:
    """Say in a few words why a service has not answered; urllib wraps the system's own error in one of its own."""
    return str(getattr(error, "reason", None) or error) or type(error).__name__


def _number(text: str) -> float:
    """Return a finite number, or NaN, which no comparison holds for."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
