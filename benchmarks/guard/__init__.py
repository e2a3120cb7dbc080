"""A guard of the hot path: its instructions, counted by valgrind, against a recorded baseline."""
