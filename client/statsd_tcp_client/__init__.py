"""StatsD over pooled TCP connections: bounded, fork-safe, and with a confirmation if the server gives one.

`StatsClient` is the client for threads, with the names of the package `statsd`. `statsd_tcp_client.asyncio.client` and
`statsd_tcp_client.twisted.client` have the same client for event loops. No module but those of a shell does input or
output.
"""

from statsd_tcp_client.books import Stats
from statsd_tcp_client.threads.client import StatsClient, TCPStatsClient, UnixSocketStatsClient
from statsd_tcp_client.version import __version__

__all__ = ["Stats", "StatsClient", "TCPStatsClient", "UnixSocketStatsClient", "__version__"]
