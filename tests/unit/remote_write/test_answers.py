"""What answers mean."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.remote_write.answers import LONGEST_WAIT, Answer, Meaning, date_of, meaning, wait_of

DATE = "Tue, 15 Nov 1994 08:12:31 GMT"


class AnswersTests(SynchronousTestCase):
    """`answers`."""

    def test_meanings(self) -> None:
        """Every status has a meaning of its own table row."""
        expected = {
            Meaning.TAKEN: (200, 204, 299),
            Meaning.REFUSED: (400, 409, 413, 422),
            Meaning.WAIT: (429,),
            Meaning.FAILED: (0, 500, 502, 503, 504),
            Meaning.HELD: (301, 302, 308, 401, 403, 404, 405, 407, 410, 415),
        }
        for what, statuses in expected.items():
            self.assertEqual({meaning(Answer(status)) for status in statuses}, {what})

    def test_unavailable(self) -> None:
        """503 means to wait only if it says for how long."""
        self.assertIs(meaning(Answer(503, wait=3.0)), Meaning.WAIT)

    def test_wait(self) -> None:
        """Retry-After is a number of seconds or a date, and has a limit."""
        date = date_of(DATE)
        assert date
        self.assertEqual(wait_of("7", None), 7.0)
        self.assertEqual(wait_of("Tue, 15 Nov 1994 08:12:41 GMT", date), 10.0)
        self.assertEqual(wait_of("Tue, 15 Nov 1994 08:12:21 GMT", date), 0.0)
        self.assertEqual(wait_of("9" * 50, None), LONGEST_WAIT)
        for text in ("", "soon", "-1"):
            self.assertIsNone(wait_of(text, date))
        self.assertIsNone(wait_of(DATE, None))

    def test_date(self) -> None:
        """A date that is none is not known."""
        for text in ("", "yesterday", "Tue, 99 Nov 1994 08:12:31 GMT"):
            self.assertIsNone(date_of(text))

    def test_words(self) -> None:
        """An answer is told by its status and text, none by its cause."""
        self.assertEqual(str(Answer(500, "no room")), "the answer is 500 (no room)")
        self.assertEqual(str(Answer(401)), "the answer is 401")
        self.assertEqual(str(Answer(0, "Connection refused")), "Connection refused")
