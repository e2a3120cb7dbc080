"""Where the state folder is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from statsd_tcp.settings.settings import Settings

__all__ = ["default_state_directory"]


def default_state_directory(settings: Settings, environ: Mapping[str, str]) -> Path:
    """Choose the state directory, without looking at it."""
    if settings.state_dir is not None:
        return settings.state_dir
    if environ.get("STATE_DIRECTORY"):
        # systemd gives all of a unit's, separated by colons.
        return Path(environ["STATE_DIRECTORY"].split(":")[0])
    from platformdirs import user_state_path

    return user_state_path("statscounter", appauthor=False)
