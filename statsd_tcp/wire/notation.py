"""Series as people write them: ``name`` or ``name;key=value;key``."""

from __future__ import annotations

from collections.abc import Collection

from statsd_tcp.wire.series import series_identity, split_identity

__all__ = ["as_text", "matching"]


def as_text(identity: str) -> str:
    """Write a series' name, with its tags in the order of their keys."""
    if "\n" not in identity:
        return identity
    name, tags = split_identity(identity)
    return name + "".join(f";{key}={value}" if value else f";{key}" for key, value in tags)


def matching(pattern: str, identities: Collection[str]) -> set[str]:
    """Find those of ``identities`` that a pattern means.

    A pattern is a series as `as_text`; ``folder.*`` for all whose name begins with ``folder.``; or ``name;*`` for all
    of that name that have tags.
    """
    found = {identity for identity in (pattern, _identity(pattern)) if identity in identities}
    if pattern.endswith((".*", ";*")):
        folder = pattern[:-1] if pattern.endswith(".*") else pattern[:-2] + "\n"
        found.update([identity for identity in identities if identity.startswith(folder)])
    return found


def _identity(text: str) -> str:
    name, *parts = text.split(";")
    return series_identity(name, [(key, value) for key, _, value in (part.partition("=") for part in parts)])
