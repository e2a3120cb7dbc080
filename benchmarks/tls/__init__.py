"""What TLS costs: handshakes beside other servers with the same key, and lines over connections that stay."""
