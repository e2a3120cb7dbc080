"""The parts in C, which the rest can do without: everything else about the package is in setup.cfg."""

from setuptools import Extension, setup

PARTS = ("statsd_tcp/ingest/_burst", "statsd_tcp/aggregate/_sums")

setup(
    ext_modules=[
        # Whoever has no compiler gets the same in Python.
        Extension(part.replace("/", "."), [f"{part}.c"], optional=True, py_limited_api=True)
        for part in PARTS
    ]
)
