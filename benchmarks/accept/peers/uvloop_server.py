"""The asyncio server, unchanged, on uvloop's event loop."""

import sys

import uvloop

from benchmarks.accept.peers.asyncio_server import main

if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
