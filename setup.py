"""The parts in C, which the rest can do without: everything else about the package is in setup.cfg."""

import sysconfig
from pathlib import Path

from setuptools import Extension, setup

# One wheel for all versions of Python from this one on. Without the global lock there is no such thing.
ONE_FOR_ALL = {} if sysconfig.get_config_var("Py_GIL_DISABLED") else {"bdist_wheel": {"py_limited_api": "cp311"}}

PARTS = ("statsd_tcp/ingest/_burst", "statsd_tcp/aggregate/_sums")

setup(
    options=ONE_FOR_ALL,
    ext_modules=[
        # Whoever has no compiler gets the same in Python.
        Extension(
            part.replace("/", "."),
            [f"{part}.c"],
            depends=[str(header) for header in sorted(Path(part).parent.glob("*.h"))],
            optional=True,
            py_limited_api=bool(ONE_FOR_ALL),
        )
        for part in PARTS
    ],
)
