"""The client for programs with threads, or with one: a thread of its own does all input and output."""
