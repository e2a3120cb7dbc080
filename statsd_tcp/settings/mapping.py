"""The value of ``--mapping``: a file of statsd_exporter."""

from __future__ import annotations

from pathlib import Path

from statsd_tcp.mapping.document import read_mapping
from statsd_tcp.mapping.rules import MappingRules
from statsd_tcp.mapping.yaml_source import MappingError

__all__ = ["read_mapping_file"]


def read_mapping_file(path: Path) -> MappingRules:
    """Read the mapping file at ``path``. Raise `MappingError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MappingError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MappingError(f"{path} cannot be read: it is not UTF-8") from None
    return read_mapping(text, str(path))
