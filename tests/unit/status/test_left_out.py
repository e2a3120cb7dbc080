"""Series that are not on the page, as the operator gets their names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.status.left_out import LeftOut, in_status


class LeftOutTests(SynchronousTestCase):
    """One series and the one that is shown."""

    def test_names(self) -> None:
        """Both have their tags; what is not printable is written as in Python, and what is long is cut."""
        self.assertEqual(
            {
                "reason": "type",
                "type": "c",
                "series": r"q\x1b;k=v",
                "holder_type": "g",
                "holder": "x" * 200 + " ...",
            },
            in_status(LeftOut("type", "c", "q\x1b\nk\nv", "g", "x" * 201)),
        )

    def test_none(self) -> None:
        """Where there is no other one its names are empty."""
        row = in_status(LeftOut("reserved", "g", "process_open_fds"))
        self.assertEqual(("", ""), (row["holder_type"], row["holder"]))

    @given(st.text(max_size=300))
    def test_harmless(self, name: str) -> None:
        """Whatever the name is, only printable characters are shown, and not many more than there were bytes."""
        text = in_status(LeftOut("type", "c", name.replace("\n", "")))["series"]
        self.assertTrue(text.isprintable())
        self.assertLessEqual(len(text), 4 * 200 + 4)
