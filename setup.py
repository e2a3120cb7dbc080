"""The part in C, which the rest can do without: everything else about the package is in setup.cfg."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "statsd_tcp.ingest._burst",
            ["statsd_tcp/ingest/_burst.c"],
            # Whoever has no compiler gets the lanes in Python.
            optional=True,
            py_limited_api=True,
        )
    ]
)
