"""docs/options.md says of each option what --help says."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.option_table import PAGE, rewritten, rows, told_by_help

_SHORT = {"listen": "-l", "workers": "-w"}


class OptionTableTests(SynchronousTestCase):
    """The page, compared with the options."""

    def test_names(self) -> None:
        """There is one row for every option, and no other."""
        self.assertEqual(sorted(told_by_help()), sorted(row.name for row in rows(PAGE.read_text())))

    def test_meanings_and_defaults(self) -> None:
        """Meaning and default are those of --help; python -m tests.option_table writes them."""
        text = PAGE.read_text()
        self.assertEqual(rewritten(text), text)

    def test_short_names(self) -> None:
        """A short name is shown where there is one."""
        shown = {row.name: row.form[1:3] for row in rows(PAGE.read_text()) if not row.form.startswith("`--")}
        self.assertEqual(_SHORT, shown)
