"""The client for asyncio: all input and output is done by the running loop."""
