"""The other servers of the comparison.

Each takes a port (0: the kernel chooses) and what to do (``count``: accept, count, close; ``lines``: read
lines to the end). It prints ``ready PORT`` when clients may come, and its totals as JSON on SIGTERM.
"""
