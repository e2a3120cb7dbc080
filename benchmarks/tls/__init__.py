"""What TLS costs: handshakes compared with other servers that have the same key, and lines over connections that stay."""
