"""Errors of the system and of libraries in one line of plain words, for logs and for whoever starts the service."""

from __future__ import annotations

import msgspec

__all__ = ["in_words"]


def in_words(error: BaseException | None) -> str:
    """Return what went wrong in one line, without the names of anything inside a library."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, msgspec.MsgspecError):
        return "it is not of the form that is expected"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    # Twisted's own text names one of its methods.
    if type(error).__name__ == "ConnectionAborted":
        return "the connection was given up"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
