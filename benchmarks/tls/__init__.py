"""What TLS costs: handshakes compared with other servers of the same key, and lines over connections that stay."""
