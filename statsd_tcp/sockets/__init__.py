"""Listening sockets: made and kept by the supervisor, which never accepts from them."""
