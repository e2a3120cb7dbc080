"""What a reload opens again, as the user that this process has become: tried before the start, and before each reload.

TOML, mapping, names, tac   read by the check of a reload, and by the next image
TLS keys and certificates   likewise; workers get what is in them
log file                    opened by twistd in the next image, when there is no way back
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from statsd_tcp.settings.settings import Settings

__all__ = ["files_read", "log_file", "logs_to_stdout"]


def files_read(settings: Settings, config: str | None, twistd: Mapping[str, Any]) -> dict[str, str]:
    """Return the files that are read, each by the option that names it; ``twistd`` are the options of that program."""
    files = {
        "--config": config,
        "--mapping": settings.mapping.source if settings.mapping is not None else None,
        "--who-names": settings.who_names.source if settings.who_names is not None else None,
        "--python": twistd.get("python"),
    }
    for endpoint in settings.listen:
        if endpoint.tls is not None:
            option = f"--listen {endpoint.scheme}:{endpoint.port}: "
            files[f"{option}privateKey"] = endpoint.tls.private_key
            files[f"{option}certKey"] = endpoint.tls.cert_key
            files[f"{option}clientCA"] = endpoint.tls.client_ca
    for target in settings.remote_write:
        files.update({f"--remote-write {target.label}: {key}": path for key, path in target.files()})
    return {option: path for option, path in files.items() if path}


def log_file(twistd: Mapping[str, Any]) -> str:
    """Return the path of the file that twistd writes its log to, "" if it writes to no file."""
    given: str = twistd.get("logfile") or ""
    if given == "-" or twistd.get("syslog") or twistd.get("logger"):
        return ""
    in_background = not twistd.get("nodaemon", True)
    return given or ("twistd.log" if in_background else "")


def logs_to_stdout(twistd: Mapping[str, Any]) -> bool:
    """Return whether twistd, with these options, writes its log as text to standard output."""
    elsewhere = twistd.get("syslog") or twistd.get("logger") or log_file(twistd)
    return bool(twistd.get("nodaemon")) and not elsewhere
