"""A guard of the hot path: its instructions, counted by valgrind, beside those of a recorded baseline."""
