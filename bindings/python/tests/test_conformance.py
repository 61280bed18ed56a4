"""bindings/conformance/cases.txt, played against the binding."""
import os
import tempfile
import unittest

import cases
import nuthatch

LEFT_OUT = {}  # case: why


class Failed(Exception):
    pass


class Player:
    """One case: a cache whose clock stands still, and what steps remember."""

    def __init__(self):
        self.now_ms, self.names, self.sizes = 1_000_000, {}, (16 << 20, None)
        self.cache = None
        self.folder = tempfile.mkdtemp(prefix="nuthatch-")

    def open(self):
        memory_bytes, value_bytes_max = self.sizes
        self.cache = nuthatch.Cache(memory_bytes, value_bytes_max=value_bytes_max, clock=lambda: self.now_ms / 1000,
                                    wall_clock=lambda: 1.7e9 + self.now_ms / 1000)

    def close(self):
        if self.cache:
            self.cache.close()
        os.rmdir(self.folder)

    def play(self, step):
        if step.name == "new":
            options = {name: int(value) for name, value in step.options.items()}
            self.sizes = options.pop("memory"), options.pop("value_max", None)
            assert not options, options
            return None
        if self.cache is None:
            self.open()
        try:
            return getattr(self, f"do_{step.name}")(step, *step.words)
        except nuthatch.TooLarge:
            return "too_large"
        except OverflowError:
            return "range"
        except ValueError:
            return "type"

    @staticmethod
    def put_options(step):
        options = {}
        for name, value in step.options.items():
            if name in ("ttl", "soft_ttl") and int(value) != 0:
                options[name] = int(value) / 1000
            elif name == "flags":
                options[name] = int(value)
            elif name == "tags":
                options[name] = value.split(",")
        return options

    @staticmethod
    def shown(value):
        return "missing" if value is None else cases.quoted(value)

    def do_advance(self, _step, ms):
        self.now_ms += int(ms)

    def do_set(self, step, key, value):
        self.cache.set(key, value, **self.put_options(step))
        return "ok"

    def do_add(self, step, key, value):
        return "ok" if self.cache.add(key, value, **self.put_options(step)) else "exists"

    def do_replace(self, step, key, value):
        return "ok" if self.cache.replace(key, value, **self.put_options(step)) else "missing"

    def do_version(self, step, key):
        entry = self.cache.entry(key)
        if entry is None:
            return "missing"
        self.names[step.options["as"]] = entry.version
        return "ok"

    def do_cas(self, step, key, value):
        try:
            was_done = self.cache.cas(key, value, self.names[step.options["if"]], **self.put_options(step))
        except KeyError:
            return "missing"
        return "ok" if was_done else "changed"

    def do_cas_missing(self, _step, key, value):
        try:
            return "ok" if self.cache.cas(key, value, 12345) else "changed"
        except KeyError:
            return "missing"

    def do_get(self, _step, key):
        return self.shown(self.cache.get(key))

    def do_get_many(self, _step, *keys):
        found = self.cache.get_many(keys)
        return " ".join(self.shown(found.get(key)) for key in keys)

    def do_flags(self, _step, key):
        entry = self.cache.entry(key)
        return "missing" if entry is None else str(entry.flags)

    def do_expires_in(self, _step, key):
        entry = self.cache.entry(key)
        if entry is None:
            return "missing"
        return "never" if entry.ttl is None else str(round(entry.ttl * 1000))

    def do_is_stale(self, _step, key):
        entry = self.cache.entry(key)
        return "missing" if entry is None else "yes" if entry.is_stale else "no"

    def do_append(self, _step, key, more):
        return "ok" if self.cache.append(key, more) else "missing"

    def do_prepend(self, _step, key, more):
        return "ok" if self.cache.prepend(key, more) else "missing"

    def do_increment(self, _step, key, delta):
        return str(self.cache.incr(key, int(delta)))

    def do_touch(self, _step, key, ttl):
        return "ok" if self.cache.touch(key, int(ttl) / 1000 or None) else "missing"

    def do_delete(self, _step, key):
        return "ok" if self.cache.delete(key) else "missing"

    def do_make_stale(self, _step, key):
        return "ok" if self.cache.make_stale(key) else "missing"

    def do_purge_tag(self, _step, tag, how=None):
        self.cache.purge_tag(tag, soft=how == "soft")
        return "ok"

    def do_clear(self, _step):
        self.cache.clear()
        return "ok"

    def do_count(self, _step):
        return str(len(self.cache))

    def do_keys(self, _step):
        return " ".join(cases.quoted(key) for key in sorted(set(self.cache))) or "none"

    def do_fetch(self, step, key):
        lease_ms = int(step.options.get("lease", 10_000))
        fetched = self.cache.fetch(key, lease=lease_ms / 1000)
        if fetched.lease is not None:
            self.names[step.options["as"]] = fetched.lease
        if fetched.state == "negative":
            return "negative"
        if fetched.state == "miss":
            return "lease" if fetched.lease is not None else "wait"
        word = fetched.state if fetched.lease is None else f"{fetched.state}_lease"
        return f"{word} {cases.quoted(fetched.value)}"

    def do_fill(self, step, key, value, negative=None):
        if negative:
            assert value == b"", "a binding remembers that there is nothing, and no more"
            value = None
        was_filled = self.cache.fill(key, self.names[step.options["by"]], value, **self.put_options(step))
        return "ok" if was_filled else "changed"

    def do_give_up(self, step, key):
        return "ok" if self.cache.give_up(key, self.names[step.options["by"]]) else "changed"

    def do_load(self, step, key, value):
        calls = []

        def loader():
            calls.append(value)
            if value == "fails":
                raise Failed
            return value

        try:
            got = self.cache.get_or_set(key, loader, **self.put_options(step))
        except Failed:
            return "failed"
        return f"{'loaded' if calls else 'cached'} {cases.quoted(got)}"

    def do_restart(self, _step):
        path = os.path.join(self.folder, "saved")
        self.cache.save(path)
        self.open()
        return str(self.cache.restore(path))


class Conformance(unittest.TestCase):
    def test_every_case_comes_out_as_it_says(self):
        listed = cases.read(os.environ["NUTHATCH_CASES"])
        self.assertGreater(len(listed), 30)
        self.assertLessEqual(LEFT_OUT.keys(), {name for name, _ in listed})
        for name, steps in listed:
            if name in LEFT_OUT:
                continue
            player = Player()
            try:
                with self.subTest(name):
                    for step in steps:
                        self.assertEqual(player.play(step), step.outcome, f"line {step.number}: {step.line}")
            finally:
                player.close()


if __name__ == "__main__":
    unittest.main()
