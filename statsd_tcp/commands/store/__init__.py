"""``statscounter store``: looks into a state directory, beside a running service or without one."""
