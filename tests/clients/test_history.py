"""The judge of histories (tests/chaos/history.py) finds what cannot have been, and lets pass what can."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chaos"))

from history import History, Hold, MISSING, Read, Write, check


def everything(_key):
    return True


class Histories(unittest.TestCase):
    def verdict(self, *events, bound_s=1.0, slack_s=0.0, doubt=None, excuse=None):
        history = History()
        for event in events:
            {Write: history.writes, Read: history.reads, Hold: history.holds}[type(event)].append(event)
        if doubt:
            history.doubt_writes(everything, *doubt)
        if excuse:
            history.excuse_reads(everything, *excuse)
        return check(history, bound_s, slack_s)

    def kinds(self, *events, **options):
        return [violation.kind for violation in self.verdict(*events, **options).violations]

    # ---- age ----

    def test_an_old_value_is_stale_once_the_bound_is_over(self):
        writes = Write("k", "a", 0, 1), Write("k", "b", 2, 3)
        self.assertEqual(self.kinds(*writes, Read("k", "a", 3.9, 4.1)), [])
        self.assertEqual(self.kinds(*writes, Read("k", "a", 4.1, 4.2)), ["stale"])
        self.assertEqual(self.kinds(*writes, Read("k", "b", 4.1, 4.2)), [])
        self.assertEqual(self.kinds(*writes, Read("k", "a", 4.1, 4.2), slack_s=0.2), [])
        self.assertAlmostEqual(self.verdict(*writes, Read("k", "a", 4.5, 4.6)).stalest_s, 1.5)

    def test_a_missing_key_is_a_value_like_others(self):
        self.assertEqual(self.kinds(Read("k", MISSING, 0, 1)), [])
        written = Write("k", "a", 0, 1)
        self.assertEqual(self.kinds(written, Read("k", MISSING, 1.9, 2)), [])
        self.assertEqual(self.kinds(written, Read("k", MISSING, 2.1, 2.2)), ["stale"])
        deleted = Write("k", MISSING, 3, 4)
        self.assertEqual(self.kinds(written, deleted, Read("k", MISSING, 8, 9)), [])
        self.assertEqual(self.kinds(written, deleted, Read("k", "a", 8, 9)), ["stale"])

    def test_of_writes_at_the_same_time_either_may_have_been_the_last(self):
        writes = Write("k", "a", 0, 2), Write("k", "b", 1, 3)
        for value in "ab":
            self.assertEqual(self.kinds(*writes, Read("k", value, 9, 9.1)), [])
        third = Write("k", "c", 4, 5)
        for value in "ab":
            self.assertEqual(self.kinds(*writes, third, Read("k", value, 9, 9.1)), ["stale"])

    def test_a_write_of_unknown_outcome_may_happen_late_or_never(self):
        sure, unknown = Write("k", "a", 0, 1), Write("k", "b", 2)
        for value in "ab":
            self.assertEqual(self.kinds(sure, unknown, Read("k", value, 9, 9.1)), [])
        later = Write("k", "c", 3, 4)
        self.assertEqual(self.kinds(sure, unknown, later, Read("k", "b", 9, 9.1)), [])
        self.assertEqual(self.kinds(sure, unknown, later, Read("k", "a", 9, 9.1)), ["stale"])

    def test_a_write_of_unknown_outcome_has_happened_or_not_once_all_is_settled(self):
        history = History(writes=[Write("k", "a", 0), Write("k", "b", 10, 11)], reads=[Read("k", "a", 20, 21)])
        self.assertEqual(check(history, 1).violations, [])
        history.settle(5, 1)
        self.assertEqual([violation.kind for violation in check(history, 1).violations], ["stale"])

    def test_a_write_before_a_failover_may_vanish_and_no_other(self):
        writes = Write("k", "a", 0, 1), Write("k", "b", 2, 3), Write("k", "c", 4, 5)
        self.assertEqual(self.kinds(*writes, Read("k", "b", 9, 9.1)), ["stale"])
        self.assertEqual(self.kinds(*writes, Read("k", "b", 9, 9.1), doubt=(3.5, 6)), [])
        self.assertEqual(self.kinds(*writes, Read("k", "a", 9, 9.1), doubt=(3.5, 6)), ["stale"])
        self.assertEqual(self.kinds(*writes, Read("k", "x", 9, 9.1), doubt=(0, 9)), ["unknown value"])

    def test_what_expires_is_gone_in_time_and_may_be_missing_from_then_on(self):
        written = Write("k", "a", 0, 1, lives_s=2)
        self.assertEqual(self.kinds(written, Read("k", "a", 3.9, 4)), [])
        self.assertEqual(self.kinds(written, Read("k", "a", 4.1, 4.2)), ["stale"])
        self.assertEqual(self.kinds(written, Read("k", MISSING, 9, 9.1)), [])
        self.assertEqual(self.kinds(Write("k", "a", 0, 1, lives_s=5), Read("k", MISSING, 3, 3.1)), ["stale"])

    def test_what_was_read_as_a_deposed_primary_woke_is_not_judged_by_age(self):
        writes = Write("k", "a", 0, 1), Write("k", "b", 2, 3)
        verdict = self.verdict(*writes, Read("k", "a", 9, 9.1), excuse=(8, 10))
        self.assertEqual((verdict.violations, verdict.excused_count), ([], 1))
        self.assertEqual(self.kinds(*writes, Read("k", "a", 11, 11.1), excuse=(8, 10)), ["stale"])
        self.assertEqual(self.kinds(*writes, Read("k", "x", 9, 9.1), excuse=(8, 10)), ["unknown value"])

    # ---- values ----

    def test_a_value_that_nobody_wrote_or_not_yet_or_elsewhere_is_unknown(self):
        self.assertEqual(self.kinds(Write("k", "a", 0, 1), Read("k", "b", 2, 3)), ["unknown value"])
        self.assertEqual(self.kinds(Write("k", "a", 2, 3), Read("k", "a", 0, 1)), ["unknown value"])
        self.assertEqual(self.kinds(Write("k", "a", 0, 1), Read("l", "a", 2, 3)), ["unknown value"])

    # ---- fences ----

    def test_a_fenced_read_is_never_stale(self):
        writes = Write("k", "a", 0, 1), Write("k", "b", 2, 3)
        self.assertEqual(self.kinds(*writes, Read("k", "a", 2.9, 3.5, fenced=True)), [])
        self.assertEqual(self.kinds(*writes, Read("k", "a", 3.1, 3.5, fenced=True)), ["stale"])

    def test_fenced_reads_of_one_client_do_not_go_back(self):
        writes = Write("k", "a", 0, 1), Write("k", "b", 2, 4)
        first, second = Read("k", "b", 2, 2.5, "x", True), Read("k", "a", 2.6, 3, "x", True)
        self.assertEqual(self.kinds(*writes, first, second), ["back in time"])
        self.assertEqual(self.kinds(*writes, second, first), ["back in time"])  # in whatever order it was recorded
        self.assertEqual(self.kinds(*writes, first, Read("k", "a", 2.6, 3, "y", True)), [])
        self.assertEqual(self.kinds(*writes, first, Read("k", "a", 2.4, 3, "x", True)), [])  # at the same time
        self.assertEqual(self.kinds(*writes, first, Read("k", "a", 2.6, 3, "x")), [])  # within the bound
        self.assertEqual(self.kinds(*writes, first, second, doubt=(1.5, 5)), [])

    def test_a_client_reads_what_it_wrote(self):
        writes = Write("k", "a", 0, 1), Write("k", "b", 2, 3, who="x")
        self.assertEqual(self.kinds(*writes, Read("k", "a", 3.1, 3.2, "x")), ["own write unseen"])
        self.assertEqual(self.kinds(writes[0], Write("k", MISSING, 2, 3, who="x"), Read("k", "a", 3.1, 3.2, "x")),
                         ["own write unseen"])
        self.assertEqual(self.kinds(*writes, Read("k", "a", 3.1, 3.2, "y")), [])
        self.assertEqual(self.kinds(*writes, Read("k", "a", 2.9, 3.2, "x")), [])
        self.assertEqual(self.kinds(*writes, Write("k", "c", 0.5, 9), Read("k", "c", 3.1, 3.2, "x")), [])
        self.assertEqual(self.kinds(*writes, Read("k", "a", 3.1, 3.2, "x"), doubt=(2.5, 3)), [])

    # ---- leases ----

    def test_a_lease_has_one_holder(self):
        first = Hold("l", "x", 0, 1, lives_s=5)
        self.assertEqual(self.kinds(first, Hold("l", "y", 5.5, 6, 5)), [])
        self.assertEqual(self.kinds(first, Hold("l", "y", 3, 4, 5)), ["two holders"])
        self.assertEqual(self.kinds(first, Hold("m", "y", 3, 4, 5)), [])
        self.assertEqual(self.kinds(Hold("l", "x", 0, 1, 5, released=2), Hold("l", "y", 3, 4, 5)), [])
        self.assertEqual(self.kinds(Hold("l", "x", 0, 1, 50), Hold("l", "z", 60, 61, 1), Hold("l", "y", 3, 4, 5)),
                         ["two holders"])
        self.assertEqual(self.kinds(first, Hold("l", "y", 3, 4, 5), doubt=(0, 2)), [])


if __name__ == "__main__":
    unittest.main()
