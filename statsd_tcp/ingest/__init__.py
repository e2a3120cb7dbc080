"""From sockets to complete lines: listeners, the accept lane, Factory and Protocol, datagrams, limits."""
