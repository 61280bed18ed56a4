"""Who holds what, and until when: views, closing, collections of garbage, forks, interpreters, leaks."""
import gc
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import unittest
import weakref

import nuthatch

MIB = 1 << 20
IS_SANITIZED = bool(os.environ.get("NUTHATCH_SANITIZE"))


class Views(unittest.TestCase):
    def setUp(self):
        self.cache = nuthatch.Cache(4 * MIB)
        self.cache["k"] = b"value"

    def test_a_view_is_read_only_bytes_in_place(self):
        with self.cache.view("k") as view:
            self.assertEqual((view.tobytes(), view.readonly, view.format, view.nbytes, view.contiguous),
                             (b"value", True, "B", 5, True))
            with self.assertRaises(TypeError):
                view[0] = 0
            self.assertGreater(self.cache.stats().pinned_bytes, 0)
        self.assertEqual(self.cache.stats().pinned_bytes, 0)
        with self.assertRaises(ValueError):
            view.tobytes()
        self.assertIsNone(self.cache.view("none"))

    def test_the_bytes_stay_whatever_becomes_of_the_key(self):
        view = self.cache.view("k")
        self.cache["k"] = b"other"
        self.cache.clear()
        for number in range(20_000):
            self.cache[f"k{number}"] = bytes(500)
        self.assertEqual(view, b"value")

    def test_a_part_of_a_view_keeps_the_value(self):
        view = self.cache.view("k")
        part = view[1:3]
        view.release()
        self.assertEqual(part, b"al")
        self.assertGreater(self.cache.stats().pinned_bytes, 0)
        del part
        self.assertEqual(self.cache.stats().pinned_bytes, 0)

    def test_a_view_that_is_dropped_is_released(self):
        for _ in range(1000):
            self.cache.view("k")
        self.assertEqual(self.cache.stats().pinned_bytes, 0)

    def test_views_of_views_and_copies(self):
        view = self.cache.view("k")
        again = memoryview(view)
        self.cache["copy"] = view
        view.release()
        self.assertEqual(again, b"value")
        with self.assertRaises(BufferError):
            memoryview(type(again.obj)())
        again.release()
        self.assertEqual(self.cache["copy"], b"value")
        self.assertEqual(self.cache.stats().pinned_bytes, 0)

    def test_an_empty_value_has_a_view(self):
        self.cache["k"] = b""
        with self.cache.view("k") as view:
            self.assertEqual(view.tobytes(), b"")

    def test_views_of_more_than_an_eighth_are_copies(self):
        views = []
        for number in range(40):
            self.cache[f"k{number}"] = bytes([number]) * 60_000
            views.append(self.cache.view(f"k{number}"))
        for number, view in enumerate(views):
            self.assertEqual(view, bytes([number]) * 60_000)

    def test_too_many_views_are_no_reason_not_to_read(self):
        views = []
        for number in range(3000):
            self.cache[f"k{number}"] = bytes(400)
            views.append(self.cache.view(f"k{number}"))
        self.cache["large"] = large = os.urandom(300_000)
        self.assertEqual(self.cache["large"], large)
        self.assertEqual(self.cache.get_many(["large"]), {"large": large})
        self.assertEqual(bytes(self.cache.view("large")), large)
        self.assertEqual(self.cache.get_or_set("large", lambda: b"other"), large)


class Closing(unittest.TestCase):
    def test_a_closed_cache_says_so(self):
        cache = nuthatch.Cache(MIB)
        cache["k"] = b"v"
        walk = iter(cache)
        with cache as inner:
            self.assertIs(inner, cache)
        self.assertTrue(cache.closed)
        cache.close()
        for name, *arguments in (
                ("get", "k"), ("get_many", ["k"]), ("get_many", []), ("entry", "k"), ("view", "k"), ("set", "k", b"v"),
                ("add", "k", b"v"), ("replace", "k", b"v"), ("cas", "k", b"v", 1), ("append", "k", b"v"),
                ("prepend", "k", b"v"), ("incr", "k"), ("touch", "k", 1), ("delete", "k"), ("make_stale", "k"),
                ("purge_tag", "t"), ("clear",), ("get_or_set", "k", bytes), ("fetch", "k"), ("fill", "k", 1, b"v"),
                ("give_up", "k", 1), ("keys",), ("values",), ("items",), ("sweep",), ("stats",), ("hot_keys",),
                ("miss_ratio_curve",), ("save", "/nowhere"), ("restore", "/nowhere"), ("__enter__",),
                ("__getitem__", "k"), ("__setitem__", "k", b"v"), ("__delitem__", "k"), ("__contains__", "k"),
                ("__len__",), ("__iter__",)):
            with self.subTest(name), self.assertRaisesRegex(ValueError, "closed"):
                getattr(cache, name)(*arguments)
        with self.assertRaisesRegex(ValueError, "closed"):
            next(walk)
        self.assertEqual(repr(cache), "<nuthatch.Cache, closed>")

    def test_a_view_outlives_close_and_the_cache_itself(self):
        cache = nuthatch.Cache(MIB)
        cache["k"] = b"value"
        view = cache.view("k")
        cache.close()
        self.assertEqual(view, b"value")
        alive = weakref.ref(cache)
        del cache
        self.assertIsNotNone(alive())
        view.release()
        self.assertIsNone(alive())

    def test_a_walk_keeps_the_cache(self):
        cache = nuthatch.Cache(MIB)
        for number in range(1000):
            cache[f"k{number}"] = b"v"
        walk = iter(cache)
        next(walk)
        del cache
        gc.collect()
        self.assertEqual(len(set(walk)), 999)

    def test_a_cache_that_a_collection_closes_is_closed_to_a_walk(self):
        class Closer:
            def __del__(self):
                self.cache.close()

        was = gc.get_threshold()
        for threshold in range(1, 40):
            gc.collect()
            cache, closer = nuthatch.Cache(MIB), Closer()  # young: the next collection takes it
            closer.cache, closer.itself = cache, closer
            try:
                gc.set_threshold(threshold)
                del closer
                walks = [cache.items() for _ in range(50)]
                self.assertFalse(cache.closed)
            except ValueError:
                self.assertTrue(cache.closed)
            finally:
                gc.set_threshold(*was)
                walks = None

    def test_a_cycle_through_the_clock_is_collected(self):
        class Owner:
            def now(self):
                return 1.0

        owner = Owner()
        owner.cache = nuthatch.Cache(MIB, clock=owner.now)
        owner.cache["k"] = b"v"
        owner.view, owner.walk = owner.cache.view("k"), iter(owner.cache)
        gone = weakref.ref(owner)
        del owner
        gc.collect()
        self.assertIsNone(gone())


class Forks(unittest.TestCase):
    @staticmethod
    def in_child(act):
        """What the child's exit status says of `act()`."""
        child = os.fork()
        if child == 0:
            status = 99
            try:
                status = act()
            finally:
                os._exit(status)  # pylint: disable=protected-access
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def test_a_child_has_a_copy_of_its_own(self):
        cache = nuthatch.Cache(4 * MIB)
        cache["k"] = b"v"

        def act():
            cache["k"] = b"child"
            cache["large"] = bytes(MIB)
            return 0 if cache["k"] == b"child" and cache.get_or_set("new", lambda: b"n") == b"n" else 1

        self.assertEqual(self.in_child(act), 0)
        self.assertEqual(cache["k"], b"v")

    def test_a_child_does_not_wait_for_what_others_compute_in_its_parent(self):
        cache = nuthatch.Cache(4 * MIB)
        loading, is_over = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=lambda: cache.get_or_set("k", lambda: loading.set() or is_over.wait(60) and b"parent"))
        thread.start()
        loading.wait(60)
        lease = cache.fetch("in steps").lease

        def act():
            for key in "k", "in steps":
                if cache.get_or_set(key, lambda: b"child", timeout=0) != b"child" or cache[key] != b"child":
                    return 1
            if cache.fill("in steps", lease, b"parent") or cache.give_up("in steps", lease):
                return 2
            # A new thread of the child's may have the number of one that is not there any more.
            found = []
            for key in "k2", "k3", "k":
                other = threading.Thread(target=lambda key=key: found.append(cache.get_or_set(key, lambda: b"child")))
                other.start()
                other.join()
            return 0 if found == [b"child"] * 3 else 3

        self.assertEqual(self.in_child(act), 0)
        is_over.set()
        thread.join()
        self.assertEqual(cache["k"], b"parent")
        self.assertTrue(cache.fill("in steps", lease, b"parent"))

    def test_a_loader_that_forks_returns_in_both(self):
        cache = nuthatch.Cache(4 * MIB)
        children = []

        def load():
            children.append(os.fork())
            return b"child" if children[0] == 0 else b"parent"

        loaded = cache.get_or_set("k", load)
        if children[0] == 0:
            status = 1
            try:
                # It was given, and not kept: whoever computes in the parent is not waited for.
                status = 0 if loaded == b"child" and cache.get_or_set("k", lambda: b"again", timeout=0) == b"again" else 2
            finally:
                os._exit(status)  # pylint: disable=protected-access
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]), 0)
        self.assertEqual((loaded, cache["k"]), (b"parent", b"parent"))

    def test_a_child_of_a_moment_when_a_thread_was_inside_is_told(self):
        cache = nuthatch.Cache(4 * MIB)
        loading, is_over = threading.Event(), threading.Event()

        def load():
            cache.get_or_set("k", lambda: loading.set() or is_over.wait(60) and b"v")

        threads = [threading.Thread(target=load) for _ in range(2)]
        threads[0].start()
        loading.wait(60)
        threads[1].start()  # waits for the other, inside
        while cache.stats().lease_waits == 0:
            pass

        def act():
            try:
                cache.get("k")
            except RuntimeError as error:
                cache.close()
                return 0 if "forked" in str(error) else 1
            return 2

        outcomes = {self.in_child(act) for _ in range(20)}
        is_over.set()
        for thread in threads:
            thread.join()
        # Between two waits the thread is in no call: then the copy is whole.
        self.assertIn(0, outcomes)
        self.assertLessEqual(outcomes, {0, 2})
        self.assertEqual(cache["k"], b"v")


class Libraries(unittest.TestCase):
    def test_a_library_of_another_interface_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            source, library = f"{folder}/other.c", f"{folder}/other.so"
            with open(source, "w", encoding="ascii") as file:
                file.write("unsigned nh_abi_version(void) { return 1000000; }\n")
            plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], env=plain, check=True)
            preloaded = f"{os.environ.get('LD_PRELOAD', '')} {library}".strip()  # a sanitizer's runtime has to be first
            done = subprocess.run([sys.executable, "-c", "import nuthatch"], capture_output=True, text=True, timeout=60,
                                  env={**plain, "LD_PRELOAD": preloaded, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "ImportError: this libnuthatch has interface 1000000, .* install the same version")


class Interpreters(unittest.TestCase):
    def test_each_interpreter_has_a_module_of_its_own(self):
        try:
            import _xxsubinterpreters as interpreters  # pylint: disable=import-outside-toplevel
        except ImportError:
            self.skipTest("this Python shows its interpreters in another way")
        program = ("import sys; sys.path[:] = {0!r}\n"
                   "import nuthatch\n"
                   "cache = nuthatch.Cache(1 << 20)\n"
                   "cache['k'] = b'v'\n"
                   "assert cache['k'] == b'v' and cache.entry('k').value == b'v'\n"
                   "try: cache['x' * 70000]\n"
                   "except nuthatch.TooLarge: pass\n").format(sys.path)
        for _ in range(3):
            interpreter = interpreters.create()
            interpreters.run_string(interpreter, program)
            interpreters.destroy(interpreter)
        self.assertRaises(nuthatch.TooLarge, nuthatch.Cache(MIB).get, "x" * 70_000)

    def test_a_program_may_end_with_caches_views_and_walks_about(self):
        program = ("import nuthatch, threading\n"
                   "cache = nuthatch.Cache(1 << 20)\n"
                   "cache['k'] = b'v'\n"
                   "view, walk = cache.view('k'), iter(cache)\n"
                   "threading.Thread(target=lambda: cache.get_or_set('x', threading.Event().wait), daemon=True).start()\n"
                   "threading.Thread(target=lambda: cache.get_or_set('x', bytes), daemon=True).start()\n")
        done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Leaks(unittest.TestCase):
    """Everything, and everything that fails, again and again: no reference and no memory is left."""

    def everything(self, cache, key, value, tag, loader, missing):
        path = tempfile.gettempdir() + "/nuthatch-nowhere/file"
        for call in (
                lambda: cache.set(key, value, ttl=60, soft_ttl=30, tags=[tag, tag], flags=1), lambda: cache[key],
                lambda: cache.get(key), lambda: cache.get(missing, key), lambda: cache.entry(key),
                lambda: cache.view(key).release(), lambda: cache.view(key)[1:].tobytes(), lambda: cache.view(missing),
                lambda: cache.get_many([key, missing, key]), lambda: cache.get_many([key, 5]), lambda: cache[missing],
                lambda: cache.add(key, value), lambda: cache.replace(key, value, tags=tag),
                lambda: cache.cas(key, value, 1), lambda: cache.cas(missing, value, 1), lambda: cache.cas(key, value, -1),
                lambda: cache.append(key, value), lambda: cache.prepend(key, value), lambda: cache.incr(key),
                lambda: cache.incr("number", 3), lambda: cache.touch(key, 60), lambda: cache.make_stale(key),
                lambda: cache.get_or_set(key, loader, tags=tag), lambda: cache.get_or_set(missing, lambda: None),
                lambda: cache.get_or_set(missing, lambda: "text"), lambda: cache.get_or_set(missing, lambda: {}[key]),
                lambda: cache.fetch(key), lambda: cache.fill(missing, 77, value, tags=tag),
                lambda: cache.give_up(missing, 77), lambda: list(cache), lambda: list(cache.items()),
                lambda: next(cache.values()), lambda: cache.purge_tag(tag), lambda: cache.delete(key),
                lambda: cache.delete(missing), lambda: cache.set(key, "text"), lambda: cache.set(5, value),
                lambda: cache.set(key, value, tags=[tag, 5]), lambda: cache.set(key, value, ttl="x"),
                lambda: cache.set(key, value, ttx=1), lambda: cache.set(key, value, tags=[tag] * 200),
                lambda: cache.set("x" * 70_000, value), cache.stats, cache.sweep, cache.hot_keys,
                cache.miss_ratio_curve, lambda: repr(cache), lambda: len(cache), lambda: nuthatch.Cache(5),
                lambda: nuthatch.Cache(MIB, clock=5), lambda: nuthatch.Cache(MIB, clock=lambda: "x").get(key),
                lambda: nuthatch.Cache(MIB).restore(path), lambda: nuthatch.Cache(MIB).save(path), cache.clear):
            try:
                call()
            except (KeyError, ValueError, TypeError, OverflowError, OSError, nuthatch.Error):
                pass

    def test_nothing_is_left(self):
        cache = nuthatch.Cache(4 * MIB, insight=True)
        key, tag, missing = "a key of its own", "a tag of its own", "nothing here"
        value = bytearray(b"a value of its own" * (3000 if IS_SANITIZED else 5000))
        loader = lambda: value  # noqa: E731 pylint: disable=unnecessary-lambda-assignment
        watched = [key, value, tag, loader, missing, cache, nuthatch.Cache, nuthatch.Error, nuthatch.Entry, None]
        tracemalloc.start()
        self.everything(cache, key, value, tag, loader, missing)
        # What Python itself makes and drops now and then is not there in each of several rounds; a leak is.
        least_references, least_bytes = [1000] * len(watched), 1_000_000
        for _ in range(4):
            gc.collect()
            before, bytes_before = [sys.getrefcount(one) for one in watched], tracemalloc.get_traced_memory()[0]
            for _ in range(10):
                self.everything(cache, key, value, tag, loader, missing)
            gc.collect()
            after, bytes_after = [sys.getrefcount(one) for one in watched], tracemalloc.get_traced_memory()[0]
            least_references = [min(least, abs(now - was)) for least, was, now in zip(least_references, before, after)]
            least_bytes = min(least_bytes, bytes_after - bytes_before)
        tracemalloc.stop()
        names = "key value tag loader missing cache Cache Error Entry None".split()
        self.assertEqual({name: count for name, count in zip(names, least_references) if count >= 5}, {})
        self.assertLess(least_bytes, 1000)
        value.append(0)  # nobody has a buffer of it


if __name__ == "__main__":
    unittest.main()
