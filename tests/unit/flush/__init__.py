"""Output flushes."""
