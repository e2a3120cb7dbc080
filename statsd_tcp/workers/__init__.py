"""The supervisor, the worker processes, and what they say to each other."""
