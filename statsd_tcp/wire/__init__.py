"""StatsD on the wire: framing of streams and datagrams, the grammar of a line. Pure: no sockets, no reactor, no clock."""
