"""What a worker does with sockets, up to complete lines: the accept lane, Factory and Protocol, datagrams."""
