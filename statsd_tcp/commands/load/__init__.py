"""The load generator: many short connections, what became of each, and whether all were counted."""
