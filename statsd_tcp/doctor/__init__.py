"""The doctor: judges a machine's settings against a rate of connections, and says what to change."""
