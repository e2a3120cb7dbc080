"""``statscounter compare``: what differs between this service and the server beside which it is tried."""
