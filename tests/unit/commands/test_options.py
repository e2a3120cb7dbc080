"""Options of the load generator: defaults, checks, and what does not go together."""

from __future__ import annotations

import argparse
import socket
from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.options import LoadOptions, add_arguments, from_arguments
from statsd_tcp.commands.load.proxy import Proxy, ProxyVersion
from statsd_tcp.commands.load.shapes import Close
from statsd_tcp.commands.load.workload import Address, Mode
from statsd_tcp.commands.usage import UsageError
from tests.unit.folders import make_folder

DESCRIPTORS = 20_000


def options(*arguments: str, descriptors: int = DESCRIPTORS) -> LoadOptions:
    """Read a command line."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_arguments(parser)
    return from_arguments(parser.parse_args(arguments), descriptors)


class DefaultsTests(SynchronousTestCase):
    """What is filled in."""

    def test_without_options(self) -> None:
        """No option at all: ten thousand bare connections to the service's own counting port."""
        work = options().workload
        self.assertEqual(Address(socket.AF_INET, "127.0.0.1", 8888), work.address)
        self.assertEqual((Mode.CONNECT, Close.SERVER, 10_000), (work.mode, work.close, work.connections))
        self.assertEqual((None, None, 0), (work.rate, work.duration, work.lines))
        self.assertEqual(64, len(work.sources))

    def test_modes_with_lines(self) -> None:
        """The other modes go to the StatsD port, with lines, and end by half-closing."""
        for mode, lines in (("line", 1), ("lines", 10), ("kept", 100)):
            work = options("--mode", mode).workload
            self.assertEqual((8125, lines, Close.HALF), (work.address.port, work.lines, work.close))

    def test_confirmed(self) -> None:
        """A client that is to be confirmed half-closes, in every mode."""
        for mode in set(Mode) - {Mode.MIX}:
            work = options("--confirm", "--mode", mode).workload
            self.assertEqual((True, Close.HALF), (work.confirm, work.close))

    def test_kept_ends_by_time(self) -> None:
        """Kept connections have both a number and an end."""
        work = options("--mode", "kept").workload
        self.assertEqual((64, 10.0), (work.connections, work.duration))

    def test_duration_replaces_the_number(self) -> None:
        """A duration alone leaves the number of connections open."""
        work = options("--duration", "3").workload
        self.assertEqual((None, 3.0), (work.connections, work.duration))

    def test_max_is_no_rate(self) -> None:
        """--rate max is as fast as possible, with few at once; a rate may let many pile up."""
        self.assertEqual((None, 64), (options("--rate", "max").workload.rate, options().workload.concurrency))
        paced = options("--rate", "250").workload
        self.assertEqual((250.0, 10_000), (paced.rate, paced.concurrency))

    def test_concurrency_fits_the_descriptors(self) -> None:
        """The default never asks for more than a process may open."""
        self.assertEqual(168, options("--rate", "9", "--processes", "1", descriptors=200).workload.concurrency)

    def test_no_process_without_work(self) -> None:
        """There are never more processes than connections, all in all or at once."""
        self.assertEqual(3, options("--processes", "8", "--connections", "3").processes)
        self.assertEqual(2, options("--processes", "8", "--concurrency", "2").processes)

    def test_no_sources_elsewhere(self) -> None:
        """Only IPv4 loopback has addresses to choose from."""
        self.assertEqual((), options("--target", "tcp:[::1]:8125").workload.sources)
        self.assertEqual((), options("--target", "tcp:192.0.2.1:8125").workload.sources)

    def test_verify_takes_either_address(self) -> None:
        """The service's address, that of its metrics and that of its status are the same."""
        for path in ("", "/", "/metrics", "/api/v1/status"):
            self.assertEqual("http://127.0.0.1:9102", options("--verify", f"http://127.0.0.1:9102{path}").verify)

    def test_mix(self) -> None:
        """Mode mix has weights of its own, or those of a file, and goes to the port for lines."""
        work = options("--mode", "mix").workload
        kinds = ["bare", "line", "late", "kept", "reset"]
        self.assertEqual((8125, kinds), (work.address.port, [shape.name for shape in work.shapes.shapes]))
        path = make_folder(self) / "mix"
        path.write_text("line 1\ntls 3 port=8127\n")
        self.assertEqual({8125, 8127}, options("--mode", "mix", "--mix", str(path)).workload.ports)

    def test_proxy(self) -> None:
        """Headers have clients of a network for tests, or of another one."""
        for version in ProxyVersion:
            proxy = Proxy(version, ip_network("198.18.0.0/15"))
            self.assertEqual(proxy, options("--proxy", version).workload.proxy)
        proxy = Proxy(ProxyVersion.V2, ip_network("fd00::/48"))
        self.assertEqual(proxy, options("--proxy", "v2", "--proxy-sources", "fd00::/48").workload.proxy)

    def test_late_is_in_milliseconds(self) -> None:
        """--late is given in milliseconds and kept in seconds."""
        self.assertEqual(0.005, options("--mode", "line", "--late", "5").workload.late)


class RefusalTests(SynchronousTestCase):
    """What is refused."""

    def test_values(self) -> None:
        """A value that means nothing is refused, by its option's name."""
        for option, value in (
            ("--target", "udp:127.0.0.1:1"),
            ("--target", "tcp:127.0.0.1"),
            ("--target", "tcp:127.0.0.1:0"),
            ("--target", "tcp:127.0.0.1:65536"),
            ("--target", "tcp:::1:8125"),
            ("--rate", "0"),
            ("--rate", "nan"),
            ("--rate", "inf"),
            ("--connections", "0"),
            ("--connections", "1.5"),
            ("--duration", "-1"),
            ("--duration", "long"),
            ("--late", "-1"),
            ("--late", "nan"),
            ("--line", ""),
            ("--line", "a:1|c\nb:1|c"),
            ("--verify", "127.0.0.1:9102"),
            ("--mode", "all"),
            ("--close", "slam"),
            ("--proxy", "v3"),
            ("--proxy-sources", "10.0.0.1/8"),
        ):
            with self.assertRaises(argparse.ArgumentError) as caught:
                options(option, value)
            self.assertIn(option, str(caught.exception))

    def test_contradictions(self) -> None:
        """Options that do not go together are refused by the name of one of them."""
        table = {
            "--lines": ("--lines", "3"),
            "--late": ("--late", "3", "--mode", "kept"),
            "--close": ("--close", "server", "--mode", "kept"),
            "--confirm": ("--confirm", "--close", "fin"),
            "--sources": ("--sources", "3", "--target", "tcp:[::1]:8125"),
            "--processes": ("--processes", "65"),
            "--concurrency": ("--concurrency", "20000", "--processes", "1"),
            "--proxy-sources": ("--proxy-sources", "10.0.0.0/8"),
            "--mix": ("--mix", "weights"),
            "--mix: weights: No such file or directory": ("--mode", "mix", "--mix", "weights"),
            "--lines: in mode mix": ("--mode", "mix", "--lines", "3"),
            "--close: in mode mix": ("--mode", "mix", "--close", "fin"),
            "--late: in mode mix": ("--mode", "mix", "--late", "3"),
            "--confirm: in mode mix": ("--mode", "mix", "--confirm"),
        }
        for name, arguments in table.items():
            with self.assertRaises(UsageError) as caught:
                options(*arguments)
            self.assertTrue(str(caught.exception).startswith(name), str(caught.exception))

    def test_bad_files(self) -> None:
        """A file that is no mix is refused with its name and the line at fault."""
        path = make_folder(self) / "mix"
        table = {
            b"bare 1\nudp 1\n": f"{path}:2: 'udp' is not",
            b"\xff": f"{path} is not a text in UTF-8",
            bytes((1 << 20) + 1): f"{path} is larger than 1 MiB",
        }
        for content, fault in table.items():
            path.write_bytes(content)
            error = self.assertRaises(UsageError, options, "--mode", "mix", "--mix", str(path))
            self.assertTrue(str(error).startswith(f"--mix: {fault}"), str(error))
