"""What the store costs, called directly: no service, no sockets, no workers."""
