"""What a cache does for one thread, beyond the cases that all bindings share."""
import array
import datetime
import fractions
import os
import pathlib
import pickle
import tempfile
import unittest

import nuthatch
from clock import Clock

MIB = 1 << 20


class Mapping(unittest.TestCase):
    def setUp(self):
        self.cache = nuthatch.Cache(16 * MIB)
        self.addCleanup(self.cache.close)

    def test_it_reads_as_a_dict_does(self):
        self.cache["a"] = b"1"
        self.cache[b"b"] = b"2"
        self.assertEqual(self.cache["a"], b"1")
        self.assertIn("b", self.cache)
        self.assertNotIn("c", self.cache)
        self.assertEqual(len(self.cache), 2)
        self.assertEqual(sorted(self.cache), [b"a", b"b"])
        self.assertEqual(sorted(self.cache.keys()), [b"a", b"b"])
        self.assertEqual(sorted(self.cache.values()), [b"1", b"2"])
        self.assertEqual(sorted(self.cache.items()), [(b"a", b"1"), (b"b", b"2")])
        self.assertEqual(dict(self.cache), {b"a": b"1", b"b": b"2"})
        del self.cache["a"]
        for missing in (lambda: self.cache["a"], lambda: self.cache.__delitem__("a")):
            with self.assertRaises(KeyError) as caught:
                missing()
            self.assertEqual(caught.exception.args, ("a",))

    def test_a_str_key_is_its_utf_8(self):
        self.cache["Kleiber \u00e4"] = b"v"
        self.assertEqual(self.cache["Kleiber \u00e4".encode()], b"v")
        with self.assertRaises(UnicodeEncodeError):
            self.cache["\ud800"]  # pylint: disable=pointless-statement

    def test_a_value_is_whatever_has_a_buffer(self):
        for value in (b"abc", bytearray(b"abc"), memoryview(b"abc"), array.array("B", b"abc"), memoryview(b"xabcx")[1:4]):
            self.cache["k"] = value
            self.assertEqual(self.cache["k"], b"abc")
        self.cache["k"] = array.array("H", [1, 2])
        self.assertEqual(self.cache["k"], array.array("H", [1, 2]).tobytes())
        with self.assertRaises(BufferError):
            self.cache["k"] = memoryview(b"abcdef")[::2]

    def test_get_has_a_default(self):
        fallback = object()
        self.assertIsNone(self.cache.get("k"))
        self.assertIs(self.cache.get("k", fallback), fallback)
        self.assertIs(self.cache.get("k", default=fallback), fallback)

    def test_many_keys_come_back_as_they_were_given(self):
        for number in range(3000):
            self.cache[f"k{number}"] = str(number).encode()
        keys = [f"k{number}" for number in range(0, 4000)]
        found = self.cache.get_many(keys)
        self.assertEqual(found, {f"k{number}": str(number).encode() for number in range(3000)})
        self.assertEqual(self.cache.get_many(iter([b"k1", "k1", "none"])), {b"k1": b"1", "k1": b"1"})
        self.assertEqual(self.cache.get_many([]), {})
        with self.assertRaises(TypeError):
            self.cache.get_many("k1")
        with self.assertRaises(TypeError):
            self.cache.get_many(["k1", 7])

    def test_a_walk_sees_everything_while_keys_come_and_go(self):
        for number in range(2000):
            self.cache[f"stays{number}"] = b"v"
        seen = set()
        for place, key in enumerate(self.cache):
            seen.add(key)
            self.cache[f"new{place}"] = b"v"
            self.cache.delete(f"new{place - 5}")
            if place > 100_000:
                break
        self.assertLessEqual({f"stays{number}".encode() for number in range(2000)}, seen)
        walk = iter(self.cache)
        self.assertGreater(len(list(walk)), 2000)
        self.assertEqual(list(walk), [])

    def test_what_is_remembered_to_be_missing_is_in_no_walk(self):
        self.cache.get_or_set("none", lambda: None, negative_ttl=60)
        self.assertEqual(list(self.cache.items()), [])

    def test_all_sizes_come_back(self):
        for size in (0, 1, 31, 4096, 32 * 1024, 32 * 1024 + 1, 100_000, 3 * MIB + 5):
            value = os.urandom(size)
            self.cache["k"] = value
            self.assertEqual(self.cache["k"], value)
            self.assertEqual(self.cache.entry("k").value, value)
            self.assertEqual(bytes(self.cache.view("k")), value)
            self.assertEqual(self.cache.get_many(["k"]), {"k": value})
            self.assertEqual(list(self.cache.values()), [value])


class Times(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()
        self.cache = nuthatch.Cache(16 * MIB, clock=self.clock)
        self.addCleanup(self.cache.close)

    def test_a_time_to_live_is_seconds_or_a_timedelta(self):
        for ttl in (2, 2.0, datetime.timedelta(seconds=2)):
            self.cache.set("k", b"v", ttl=ttl)
            self.assertEqual(self.cache.entry("k").ttl, 2.0)
            self.clock.advance(1.999)
            self.assertIn("k", self.cache)
            self.clock.advance(0.001)
            self.assertNotIn("k", self.cache)

    def test_no_time_is_over_at_once_and_a_little_is_a_little(self):
        class Unsure(float):
            def __bool__(self):
                raise LookupError

        for ttl in (0, -1, 0.0, -0.0001, datetime.timedelta(0), datetime.timedelta(microseconds=-1), Unsure(0),
                    fractions.Fraction(-1, 10**6)):
            self.cache.set("k", b"v", ttl=ttl)
            self.assertNotIn("k", self.cache, ttl)
        for ttl in (0.0001, datetime.timedelta(microseconds=1), Unsure(0.0001), fractions.Fraction(1, 10**6)):
            self.cache.set("k", b"v", ttl=ttl)
            self.assertEqual(self.cache.entry("k").ttl, 0.001)
        self.cache.set("k", b"v", ttl=None)
        self.assertIsNone(self.cache.entry("k").ttl)
        for ttl in (float("nan"), float("inf"), 1e13):
            with self.assertRaises(ValueError):
                self.cache.set("k", b"v", ttl=ttl)
        with self.assertRaises(TypeError):
            self.cache.set("k", b"v", ttl="60")

    def test_an_entry_tells_what_is_kept(self):
        self.cache.set("k", b"v", ttl=10, soft_ttl=2, flags=7)
        entry = self.cache.entry("k")
        self.assertEqual(entry[:1] + entry[2:], (b"v", 7, 10.0, 2.0, False))
        self.clock.advance(3)
        self.assertEqual(self.cache.entry("k"), (b"v", entry.version, 7, 7.0, -1.0, True))
        self.assertIsNone(self.cache.entry("none"))

    def test_a_clock_that_goes_back_stands_still(self):
        self.cache.set("k", b"v", ttl=10)
        self.clock.advance(10)
        self.assertNotIn("k", self.cache)
        self.clock.advance(-10)
        self.assertNotIn("k", self.cache)

    def test_what_a_clock_raises_is_raised(self):
        def broken():
            raise LookupError("no time")

        for clock, error in ((broken, LookupError), (lambda: "noon", TypeError), (lambda: float("nan"), ValueError)):
            cache = nuthatch.Cache(MIB, clock=clock)
            for call in (lambda: cache.get("k"), lambda: cache.set("k", b"v"), lambda: cache.get_many(["k"]),
                         lambda: next(iter(cache)), lambda: cache.get_or_set("k", lambda: b"v"),
                         lambda: cache.view("k"), lambda: cache.save("/nowhere")):
                with self.assertRaises(error):
                    call()
            self.assertEqual(len(cache), 0)
        with self.assertRaises(TypeError):
            nuthatch.Cache(MIB, clock=5)

    def test_a_clock_that_closes_the_cache_is_noticed(self):
        cache = nuthatch.Cache(MIB, clock=lambda: cache.close() or 1.0)
        with self.assertRaisesRegex(ValueError, "closed"):
            cache.get("k")

    def test_a_sweep_frees_what_is_over(self):
        for number in range(100):
            self.cache.set(f"k{number}", b"v", ttl=1)
        self.clock.advance(2)
        self.assertEqual(len(self.cache), 100)
        self.assertEqual(self.cache.sweep(10_000), 100)
        self.assertEqual(len(self.cache), 0)
        self.assertEqual(self.cache.stats().expired, 100)


class Writing(unittest.TestCase):
    def setUp(self):
        self.cache = nuthatch.Cache(16 * MIB)
        self.addCleanup(self.cache.close)

    def test_cas_says_whether_the_version_was_still_there(self):
        self.cache["k"] = b"1"
        version = self.cache.entry("k").version
        self.assertTrue(self.cache.cas("k", b"2", version))
        self.assertFalse(self.cache.cas("k", b"3", version))
        self.assertEqual(self.cache["k"], b"2")
        with self.assertRaises(KeyError):
            self.cache.cas("none", b"v", version)

    def test_one_tag_is_one_tag(self):
        self.cache.set("a", b"1", tags="red")
        self.cache.set("b", b"2", tags=["r", b"e", "d"])
        self.cache.set("c", b"3", tags=(tag for tag in ("blue", "red")))
        self.cache.purge_tag("red")
        self.assertEqual(sorted(self.cache), [b"b"])
        self.cache.set("d", b"4", tags=[str(number) for number in range(128)])
        with self.assertRaises(ValueError):
            self.cache.set("d", b"4", tags=[str(number) for number in range(129)])
        with self.assertRaises(TypeError):
            self.cache.set("d", b"4", tags=["red", 5])
        with self.assertRaises(TypeError):
            self.cache.set("d", b"4", tags=5)

    def test_numbers(self):
        self.assertEqual(self.cache.incr("n"), 1)
        self.assertEqual(self.cache.incr("n", 41), 42)
        self.assertEqual(self.cache.incr("n", delta=-(2 ** 63)), 42 - 2 ** 63)
        with self.assertRaises(OverflowError):
            self.cache.incr("n", -(2 ** 62))
        with self.assertRaises(OverflowError):
            self.cache.incr("n", 2 ** 63)
        with self.assertRaises(TypeError):
            self.cache.incr("n", 1.5)
        self.cache["n"] = b"word"
        with self.assertRaises(ValueError):
            self.cache.incr("n")

    def test_what_is_wrong_with_a_call_is_said(self):
        for call, error, words in (
                (lambda: self.cache.set("k"), TypeError, "wants 'value'"),
                (lambda: self.cache.set(), TypeError, "wants 'key'"),
                (lambda: self.cache.set("k", b"v", 60), TypeError, "positional"),
                (lambda: self.cache.set("k", b"v", tll=60), TypeError, "'tll'"),
                (lambda: self.cache.set("k", b"v", key="k"), TypeError, "twice"),
                (lambda: self.cache.set("k", "v"), TypeError, "encode it"),
                (lambda: self.cache.set("k", None), TypeError, "a value is bytes"),
                (lambda: self.cache.set(7, b"v"), TypeError, "a key is bytes or str"),
                (lambda: self.cache.set("k", b"v", flags=2 ** 32), OverflowError, "flags is a number from 0"),
                (lambda: self.cache.set("k" * 70_000, b"v"), nuthatch.TooLarge, "too large"),
                (lambda: self.cache.set("k", bytes(9 * MIB)), nuthatch.TooLarge, "too large"),
                (lambda: self.cache.get_or_set("k", b"v"), TypeError, "the loader is a function"),
                (lambda: self.cache.get_or_set("k", lambda: b"", lease=0), ValueError, "lease"),
                (lambda: self.cache.get_or_set("k", lambda: b"", early=-1), ValueError, "early"),
                (lambda: self.cache.hot_keys(), ValueError, "insight=True"),
                (lambda: self.cache.miss_ratio_curve(), ValueError, "insight=True"),
                (lambda: nuthatch.Cache(1000), ValueError, "1 MiB"),
                (lambda: nuthatch.Cache(-1), OverflowError, "memory_bytes"),
                (lambda: nuthatch.Cache(2 ** 63), ValueError, "16 TiB"),
                (lambda: nuthatch.Cache(memory="16m"), TypeError, "memory"),
                (lambda: pickle.dumps(self.cache), TypeError, "pickle")):
            with self.subTest(words), self.assertRaisesRegex(error, words):
                call()
        self.assertEqual(len(self.cache), 0)

    def test_errors_are_of_one_family(self):
        for error in (nuthatch.TooLarge, nuthatch.Full, nuthatch.Corrupt):
            self.assertTrue(issubclass(error, nuthatch.Error))

    def test_it_stays_within_its_memory(self):
        cache = nuthatch.Cache(2 * MIB)
        for number in range(20_000):
            cache[f"k{number}"] = bytes(500)
        stats = cache.stats()
        self.assertLessEqual(stats.memory_bytes, 2 * MIB)
        self.assertEqual(stats.memory_bytes_max, 2 * MIB)
        self.assertGreater(stats.evicted, 10_000)
        self.assertGreater(len(cache), 1000)

    def test_stats_count(self):
        self.cache["a"] = b"1"
        self.cache.get("a")
        self.cache.get("none")
        stats = self.cache.stats()
        self.assertEqual((stats.items, stats.hits, stats.misses, stats.puts), (1, 1, 1, 1))

    def test_insight(self):
        cache = nuthatch.Cache(16 * MIB, insight=True)
        self.assertEqual(cache.hot_keys(), [])
        self.assertEqual(cache.miss_ratio_curve(), [])
        for number in range(2000):
            cache[f"k{number}"] = bytes(100)
        for turn in range(50_000):
            cache.get(f"k{turn % 2000}" if turn % 4 == 0 else "hot")
        self.assertEqual(cache.hot_keys(1)[0][0], b"hot")
        curve = cache.miss_ratio_curve()
        self.assertEqual(curve, sorted(curve))
        self.assertTrue(all(0 <= ratio <= 1 for _, ratio in curve))
        self.assertGreater(len(curve), 2)

    def test_it_can_be_derived_from(self):
        class Text(nuthatch.Cache):
            def text(self, key):
                return self[key].decode()

        cache = Text(MIB)
        cache["k"] = b"v"
        cache.mine = 1
        self.assertEqual((cache.text("k"), cache.entry("k").value, cache.mine), ("v", b"v", 1))


class ReadingThrough(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()
        self.cache = nuthatch.Cache(16 * MIB, clock=self.clock)
        self.addCleanup(self.cache.close)

    def test_the_loader_is_asked_once(self):
        calls = []
        for _ in range(3):
            self.assertEqual(self.cache.get_or_set("k", lambda: calls.append(1) or b"v", ttl=60, flags=3), b"v")
        self.assertEqual(len(calls), 1)
        self.assertEqual(self.cache.entry("k")[2:4], (3, 60.0))

    def test_what_is_returned_is_bytes_whatever_the_loader_gave(self):
        self.assertEqual(self.cache.get_or_set("k", lambda: bytearray(b"v")), b"v")
        self.assertIs(type(self.cache.get_or_set("j", lambda: memoryview(b"v"))), bytes)
        value = os.urandom(MIB)
        self.assertEqual(self.cache.get_or_set("large", lambda: value), value)
        self.assertEqual(self.cache["large"], value)

    def test_a_loader_that_raises_leaves_nothing_behind(self):
        with self.assertRaises(LookupError):
            self.cache.get_or_set("k", lambda: {}["absent"])
        with self.assertRaisesRegex(TypeError, "encode it"):
            self.cache.get_or_set("k", lambda: "text")
        with self.assertRaises(SystemExit):
            self.cache.get_or_set("k", exit)
        self.assertEqual(self.cache.get_or_set("k", lambda: b"v"), b"v")

    def test_nothing_is_remembered_only_if_asked(self):
        calls = []

        def nothing():
            calls.append(1)

        self.assertIsNone(self.cache.get_or_set("k", nothing))
        self.assertIsNone(self.cache.get_or_set("k", nothing, negative_ttl=5))
        self.assertIsNone(self.cache.get_or_set("k", nothing, negative_ttl=5))
        self.assertEqual(len(calls), 2)
        self.assertNotIn("k", self.cache)
        self.clock.advance(5)
        self.assertEqual(self.cache.get_or_set("k", lambda: b"v"), b"v")

    def test_what_is_stale_is_loaded_again(self):
        self.cache.set("k", b"old", soft_ttl=1, ttl=100)
        self.clock.advance(2)
        self.assertEqual(self.cache.get_or_set("k", lambda: b"new"), b"new")
        self.assertEqual(self.cache["k"], b"new")

    def test_what_is_stale_is_better_than_an_error_if_asked(self):
        def broken():
            raise ConnectionError

        self.cache.set("k", b"old", soft_ttl=1, ttl=100)
        self.clock.advance(2)
        with self.assertRaises(ConnectionError):
            self.cache.get_or_set("k", broken)
        self.assertEqual(self.cache.get_or_set("k", broken, stale_if_error=True), b"old")
        with self.assertRaises(KeyboardInterrupt):
            self.cache.get_or_set("k", lambda: (_ for _ in ()).throw(KeyboardInterrupt), stale_if_error=True)
        self.clock.advance(100)
        with self.assertRaises(ConnectionError):
            self.cache.get_or_set("k", broken, stale_if_error=True)

    def test_a_write_beats_what_was_loaded_meanwhile(self):
        def loader():
            self.cache["k"] = b"written"
            return b"loaded"

        self.assertEqual(self.cache.get_or_set("k", loader), b"loaded")
        self.assertEqual(self.cache["k"], b"written")

    def test_what_cannot_be_kept_is_returned_all_the_same(self):
        large = bytes(9 * MIB)
        self.assertEqual(self.cache.get_or_set("k", lambda: large), large)
        self.assertNotIn("k", self.cache)
        cache = nuthatch.Cache(MIB)
        self.assertEqual(cache.get_or_set("k", lambda: cache.close() or b"v"), b"v")

    def test_a_loader_that_asks_for_its_own_key_is_told(self):
        with self.assertRaisesRegex(RuntimeError, "asks for the key"):
            self.cache.get_or_set("k", lambda: self.cache.get_or_set("k", lambda: b"v"))
        self.assertEqual(self.cache.get_or_set("k", lambda: self.cache.get_or_set("other", lambda: b"v")), b"v")

    def test_early_refresh_has_one_load_again_before_the_end(self):
        def slow():
            self.clock.advance(5)
            return b"v"

        self.cache.get_or_set("k", slow, ttl=10)
        self.clock.advance(9.999)
        early = [self.cache.fetch("k", early=100) for _ in range(50)]
        self.assertEqual({fetched.state for fetched in early}, {"hit"})
        self.assertEqual(len([fetched for fetched in early if fetched.lease is not None]), 1)


class Restarts(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nuthatch-"))
        self.path = self.folder / "saved"
        self.addCleanup(self.folder.rmdir)

    def test_what_was_saved_is_there_again(self):
        clock, wall_clock = Clock(), Clock(1.7e9)
        cache = nuthatch.Cache(16 * MIB, clock=clock, wall_clock=wall_clock)
        cache.set("a", b"1", ttl=10, tags="red")
        cache["large"] = bytes(MIB)
        cache.save(self.path)
        self.assertTrue(cache.closed)
        wall_clock.advance(4)
        cache = nuthatch.Cache(8 * MIB, clock=Clock(5), wall_clock=wall_clock)
        self.assertEqual(cache.restore(str(self.path)), 2)
        self.assertFalse(self.path.exists())
        self.assertEqual(cache.entry("a").ttl, 6.0)
        self.assertEqual(cache["large"], bytes(MIB))

    def test_the_systems_clocks_do_as_well(self):
        cache = nuthatch.Cache(16 * MIB)
        cache["a"] = b"1"
        cache.save(os.fsencode(self.path))
        self.assertEqual(nuthatch.Cache(16 * MIB).restore(self.path), 1)

    def test_it_cannot_be_saved_while_it_is_looked_at(self):
        cache = nuthatch.Cache(16 * MIB)
        cache["a"] = b"1"
        with cache.view("a"), self.assertRaisesRegex(BufferError, "release views"):
            cache.save(self.path)
        walk = iter(cache)
        with self.assertRaises(BufferError):
            cache.save(self.path)
        list(walk)
        cache.save(self.path)
        self.path.unlink()

    def test_only_a_new_cache_restores(self):
        cache = nuthatch.Cache(16 * MIB)
        with self.assertRaises(FileNotFoundError) as caught:
            cache.restore(self.path)
        self.assertEqual(caught.exception.filename, self.path)
        with self.assertRaisesRegex(ValueError, "first call"):
            cache.restore(self.path)

    def test_a_cache_that_its_wall_clock_has_used_does_not_restore(self):
        def wall_clock():
            cache["k"] = b"of the clock"
            return 1e9

        nuthatch.Cache(16 * MIB).save(self.path)
        cache = nuthatch.Cache(16 * MIB, wall_clock=wall_clock)
        with self.assertRaisesRegex(ValueError, "first call"):
            cache.restore(self.path)
        self.path.unlink()

    def test_a_file_that_is_not_one_is_left(self):
        self.path.write_bytes(b"something else")
        cache = nuthatch.Cache(16 * MIB)
        with self.assertRaises(nuthatch.Corrupt):
            cache.restore(self.path)
        self.assertEqual(len(cache), 0)
        self.path.unlink()

    def test_a_folder_that_is_not_there_is_an_os_error_with_its_name(self):
        cache = nuthatch.Cache(16 * MIB)
        with self.assertRaises(FileNotFoundError) as caught:
            cache.save(self.path / "nowhere")
        self.assertEqual(caught.exception.filename, self.path / "nowhere")
        self.assertTrue(cache.closed)


if __name__ == "__main__":
    unittest.main()
