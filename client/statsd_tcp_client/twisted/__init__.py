"""The client for Twisted: all input and output is done by the reactor."""
