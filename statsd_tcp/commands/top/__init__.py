"""``statscounter top``: what services do just now, in a terminal."""
