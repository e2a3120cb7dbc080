"""``statscounter compare``: what differs between this service and the server that it is tried next to."""
