"""The commands of ``python -m benchmarks``."""

from __future__ import annotations

from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

from benchmarks.__main__ import COMMANDS


def test_every_command_has_its_module() -> None:
    """Every command can be imported, declares options that read well as help, and can be run."""
    for name, command in COMMANDS.items():
        module = import_module(f"benchmarks.{command.module}")
        options = ArgumentParser(prog=name)
        module.add_arguments(options)
        assert "--help" in options.format_help()
        assert callable(module.run)


def test_every_command_is_explained(checkout: Path) -> None:
    """The page about the benchmarks has a row for each command."""
    page = (checkout / "benchmarks" / "README.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in COMMANDS if not any(f"`{name}`" in row for row in rows)] == []
