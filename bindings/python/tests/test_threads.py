"""Many threads on one cache: one loads, the others wait; nobody waits in vain, nothing is torn."""
import random
import signal
import sys
import threading
import time
import unittest

import nuthatch
from clock import Clock

MIB = 1 << 20
PATIENCE_S = 60


class Crowd:
    """Threads that run one function each, and what became of it."""

    def __init__(self, *functions):
        self.outcomes = [None] * len(functions)
        self.threads = [threading.Thread(target=self.run, args=(place, function), daemon=True)
                        for place, function in enumerate(functions)]
        for thread in self.threads:
            thread.start()

    def run(self, place, function):
        try:
            self.outcomes[place] = function()
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.outcomes[place] = error

    def wait(self):
        for thread in self.threads:
            thread.join(PATIENCE_S)
            if thread.is_alive():
                raise AssertionError("a thread does not come back")
        return self.outcomes


def until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it does not come to that")
        time.sleep(0.001)


class SingleFlight(unittest.TestCase):
    def setUp(self):
        self.cache = nuthatch.Cache(16 * MIB)
        self.addCleanup(self.cache.close)
        self.calls = []
        self.may_end = threading.Event()

    def loader(self):
        self.calls.append(threading.get_ident())
        self.assertTrue(self.may_end.wait(PATIENCE_S))
        return b"loaded"

    def ask(self, **options):
        return lambda: self.cache.get_or_set("k", self.loader, **options)

    def waits(self):
        return self.cache.stats().lease_waits

    def test_of_twenty_threads_one_loads(self):
        crowd = Crowd(*[self.ask()] * 20)
        until(lambda: self.waits() >= 19)
        self.may_end.set()
        self.assertEqual(crowd.wait(), [b"loaded"] * 20)
        self.assertEqual(len(self.calls), 1)

    def test_when_the_loader_raises_the_next_one_loads(self):
        def broken():
            until(lambda: self.waits() >= 3)
            raise LookupError

        first = Crowd(lambda: self.cache.get_or_set("k", broken))
        until(lambda: self.cache.stats().leases == 1)
        self.may_end.set()
        others = Crowd(*[self.ask()] * 3)
        self.assertIsInstance(first.wait()[0], LookupError)
        self.assertEqual(others.wait(), [b"loaded"] * 3)
        self.assertEqual(len(self.calls), 1)

    def test_who_waits_gets_what_somebody_else_writes(self):
        crowd = Crowd(self.ask())
        until(lambda: self.calls)
        waiting = Crowd(self.ask())
        until(lambda: self.waits() >= 1)
        self.cache["k"] = b"written"
        self.assertEqual(waiting.wait(), [b"written"])
        self.may_end.set()
        self.assertEqual(crowd.wait(), [b"loaded"])
        self.assertEqual(self.cache["k"], b"written")

    def test_who_waits_has_enough_of_it_after_a_timeout(self):
        crowd = Crowd(self.ask())
        until(lambda: self.calls)
        for timeout in (0, 0.01):
            with self.assertRaises(TimeoutError):
                self.ask(timeout=timeout)()
        self.may_end.set()
        crowd.wait()
        self.assertEqual(self.ask(timeout=0)(), b"loaded")

    def test_a_loader_that_never_ends_keeps_others_for_its_lease_alone(self):
        clock = Clock()
        self.cache = nuthatch.Cache(16 * MIB, clock=clock)
        stuck = Crowd(self.ask(lease=5))
        until(lambda: self.calls)
        other = Crowd(lambda: self.cache.get_or_set("k", lambda: b"other", lease=5))
        until(lambda: self.waits() >= 1)
        clock.advance(5)
        self.assertEqual(other.wait(), [b"other"])
        self.may_end.set()
        self.assertEqual(stuck.wait(), [b"loaded"])
        self.assertEqual(self.cache["k"], b"other")

    def test_while_one_renews_the_others_have_what_is_stale(self):
        self.cache.set("k", b"stale", soft_ttl=-1)
        crowd = Crowd(self.ask())
        until(lambda: self.calls)
        self.assertEqual(Crowd(*[self.ask()] * 5).wait(), [b"stale"] * 5)
        self.may_end.set()
        self.assertEqual(crowd.wait(), [b"loaded"])

    def test_closing_sends_those_away_who_wait(self):
        crowd = Crowd(self.ask())
        until(lambda: self.calls)
        waiting = Crowd(self.ask())
        until(lambda: self.waits() >= 1)
        self.cache.close()
        self.assertRegex(str(waiting.wait()[0]), "closed")
        self.may_end.set()
        self.assertEqual(crowd.wait(), [b"loaded"])

    def test_a_signal_ends_waiting(self):
        crowd = Crowd(self.ask())
        until(lambda: self.calls)

        def interrupt(_number, _frame):
            raise InterruptedError

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with self.assertRaises(InterruptedError):
                self.ask()()
        finally:
            signal.signal(signal.SIGALRM, before)
            self.may_end.set()
        crowd.wait()
        self.assertEqual(self.cache.stats().leases, 1, "it ended with the lease")

    def test_loads_of_different_keys_run_beside_each_other(self):
        meeting = threading.Barrier(8, timeout=PATIENCE_S)

        def ask(number):
            return lambda: self.cache.get_or_set(f"k{number}", lambda: meeting.wait() is not None and b"v")

        self.assertEqual(Crowd(*[ask(number) for number in range(8)]).wait(), [b"v"] * 8)


class Gil(unittest.TestCase):
    def test_others_run_while_large_values_are_copied(self):
        interval = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        cache = nuthatch.Cache(64 * MIB)
        large, turns, is_over = bytes(16 * MIB), [0], threading.Event()

        def count():
            while not is_over.is_set():
                turns[0] += 1
                time.sleep(0)  # gives the GIL back

        counter = Crowd(count)
        try:
            sys.setswitchinterval(1000)  # nobody loses the GIL who does not let it go
            for act in (lambda: cache.set("k", large), lambda: cache.append("l", large), lambda: cache.prepend("l", large),
                        lambda: cache.get("k")):
                for _ in range(100):  # the other thread may be slow to come
                    cache.set("l", b"v")
                    before = turns[0]
                    act()
                    if turns[0] != before:
                        break
                else:
                    self.fail("nobody else ran")
        finally:
            sys.setswitchinterval(interval)
            is_over.set()
            counter.wait()


class Everything(unittest.TestCase):
    def setUp(self):
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        self.addCleanup(sys.setswitchinterval, interval)

    def act(self, cache, seed, seconds):
        """What any thread may do at any time; a value tells its key, and is never torn."""
        chance = random.Random(seed)
        keys = [f"k{number}" for number in range(50)]

        def value_of(key):
            return key.encode() * chance.choice((1, 10, 10_000, 40_000))

        def check(key, value):
            if value is not None and bytes(value[:3]).rstrip(b"k") != key.encode()[:3].rstrip(b"k"):
                raise AssertionError(f"{key} has {bytes(value[:10])}")
            if value is not None and bytes(value) != key.encode() * (len(value) // len(key)):
                raise AssertionError(f"{key} is torn")

        def view(key):
            shown = cache.view(key)
            if shown is not None:
                with shown:
                    check(key, shown)

        acts = (
            lambda key: cache.set(key, value_of(key), tags=("t",)), lambda key: check(key, cache.get(key)), view,
            lambda key: [check(one, value) for one, value in cache.get_many(keys).items()],
            lambda key: check(key, cache.get_or_set(key, lambda: value_of(key), ttl=0.001)),
            lambda key: cache.delete(key), lambda key: [check(one.decode(), value) for one, value in cache.items()],
            lambda key: cache.purge_tag("t", soft=chance.random() < 0.5), lambda key: cache.sweep(100),
            lambda key: cache.touch(key, 0.002), lambda key: cache.clear() if chance.random() < 0.1 else None)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            chance.choice(acts)(chance.choice(keys))

    def test_threads_that_do_everything(self):
        cache = nuthatch.Cache(8 * MIB)
        outcomes = Crowd(*[lambda seed=seed: self.act(cache, seed, 1) for seed in range(6)]).wait()
        self.assertEqual(outcomes, [None] * 6)
        self.assertEqual(cache.stats().pinned_bytes, 0)

    def test_a_cache_that_is_closed_under_them(self):
        for turn in range(6):
            cache = nuthatch.Cache(8 * MIB)
            crowd = Crowd(*[lambda seed=seed: self.act(cache, seed, PATIENCE_S / 2) for seed in range(4)])
            time.sleep(random.Random(turn).random() * 0.05)
            cache.close()
            for outcome in crowd.wait():
                self.assertIsInstance(outcome, ValueError)
                self.assertIn("closed", str(outcome))


if __name__ == "__main__":
    unittest.main()
