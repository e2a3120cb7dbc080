"""More processors: what more workers take, and what each of them costs the supervisor."""
