"""The mapping file that an option names."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.yaml_source import MappingError
from statsd_tcp.settings.mapping import read_mapping_file


class MappingFileTests(SynchronousTestCase):
    """Files that are not there, or hold no text."""

    def test_unreadable_files(self) -> None:
        """A file that is not there, or is not text, is refused with the reason."""
        with self.assertRaisesRegex(MappingError, "nowhere.yml cannot be read: No such file"):
            read_mapping_file(Path("/nonexistent/nowhere.yml"))
        with TemporaryDirectory(prefix="statscounter-") as folder:
            path = Path(folder) / "m.yml"
            path.write_bytes(b"mappings: \xff\n")
            with self.assertRaisesRegex(MappingError, "is not UTF-8"):
                read_mapping_file(path)
