"""``statscounter store``: looks into a state directory, whether or not a service is running."""
