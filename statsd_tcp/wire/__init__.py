"""StatsD as it is written: framing, and the grammar of a line. Pure: no sockets, no reactor, no clock."""
