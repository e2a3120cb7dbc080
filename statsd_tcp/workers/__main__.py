"""The start of a worker process: ``python -m statsd_tcp.workers``, by the supervisor only.

Most of a worker's start is imports, and it is made again for each worker that dies. So they come when nothing looks for
garbage among them, which there is none, and without a module that Twisted imports and no worker uses.
"""

from __future__ import annotations

import gc
import sys
from importlib.util import LazyLoader, find_spec, module_from_spec

__all__: list[str] = []


def _import_when_used(name: str) -> None:
    """Put a module of a package in its place, and have it imported when something asks for a part of it."""
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        return
    spec.loader = LazyLoader(spec.loader)
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    package, _, part = name.rpartition(".")
    setattr(sys.modules[package], part, module)


def main() -> int:
    """Run one worker to its end, and return the exit status."""
    # On again when the worker has booted.
    gc.disable()
    # A seventh of all imports: it needs urllib, which needs http.client and email.
    _import_when_used("http.cookiejar")
    from statsd_tcp.workers import process

    return process.main()


if __name__ == "__main__":
    sys.exit(main())
