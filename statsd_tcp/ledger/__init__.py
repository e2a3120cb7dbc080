"""Shared-memory ledgers: counters and a journal in a file that outlives the process which writes them."""
