"""What lines on the console mean."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.console.commands import Command, bare, is_http, is_statsd, is_text, is_whole, read_command

COMMANDS = {
    b"": Command(""),
    b" \t ": Command(""),
    b"stats": Command("stats"),
    b"  stats  ": Command("stats"),
    b"health\tdown\r": Command("health", ("down",)),
    b"delcounters a.b  c.*": Command("delcounters", ("a.b", "c.*")),
    b'delcounters "a b" c': Command("delcounters", ("a b", "c")),
    b'delcounters "say \\"a\\"" "\\\\"': Command("delcounters", ('say "a"', "\\")),
    b'delcounters a"b': Command("delcounters", ('a"b',)),
    b'delcounters "a': Command("delcounters", ('"a',)),
    "delcounters é;k=v".encode(): Command("delcounters", ("é;k=v",)),
    b"\xff": Command("�"),
}


class ReadCommandTests(SynchronousTestCase):
    """Lines taken apart."""

    def test_words(self) -> None:
        """Words are separated by blanks, and a name with blanks may be quoted."""
        for line, command in COMMANDS.items():
            self.assertEqual(command, read_command(line), line)

    @given(st.binary(max_size=30))
    def test_anything(self, line: bytes) -> None:
        """Whatever comes is some command, or none."""
        self.assertIsInstance(read_command(line).name, str)


class RecognitionTests(SynchronousTestCase):
    """Lines that are no commands, or commands without a newline."""

    def test_http(self) -> None:
        """The beginning of a request is recognised, and no command is taken for one."""
        for line in (
            b"GET / HTTP/1.1\r",
            b"POST /x HTTP/1.0",
            b"OPTIONS * HTTP/2",
            b"Host: localhost:8126",
            b"host: x",
        ):
            self.assertTrue(is_http(line), line)
        for line in (b"", b"health up", b"delcounters GET", b"hosts", b"HELP"):
            self.assertFalse(is_http(line), line)

    def test_statsd(self) -> None:
        """A sample is recognised, and no command is taken for one."""
        for line in (b"a:1|c", b"a.b:2|ms|@0.1", b":1|c"):
            self.assertTrue(is_statsd(line), line)
        for line in (b"stats", b"delcounters a:b", b"", b"a|c", b"delcounters a:1|c"):
            self.assertFalse(is_statsd(line), line)

    def test_bare(self) -> None:
        """What clients send around a command is taken off, and of lines with nothing in them nothing is left."""
        for line in (b"health up", b" health up\r", b"\0health up\0\r\n", b"\thealth up \0"):
            self.assertEqual(b"health up", bare(line))
        for line in (b"", b"\r", b"\0\0", b" \r\n\r\n"):
            self.assertEqual(b"", bare(line))

    def test_text(self) -> None:
        """Control characters are no text, except for those that may stand around a command; other letters are."""
        for line in (b"", b"stats\r\n", "delcounters é".encode(), b"a\tb", b"\0stats\0"):
            self.assertTrue(is_text(line), line)
        for line in (b"\x16\x03\x01\x02", b"a\0b", b"\x1b[A", b"a\x7f"):
            self.assertFalse(is_text(line), line)

    def test_whole(self) -> None:
        """Only a command that changes nothing, and takes no arguments, is known to be complete."""
        for line in (b"stats", b" help", b"health\r", b"quit\0"):
            self.assertTrue(is_whole(line), line)
        for line in (b"", b"stat", b"health down", b"delcounters", b"delcounters a"):
            self.assertFalse(is_whole(line), line)
