"""pymemcache finds what it expects, over the keys that Redis clients see."""
import socket
import subprocess
import time
import unittest

import redis
from pymemcache.client.base import Client

from harness import Nuthatch, raw


class PyMemcache(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Nuthatch("cache", "--memory", "64M")
        cls.client = Client(("127.0.0.1", cls.server.port), timeout=10, no_delay=True)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.server.stop() == 0

    def setUp(self):
        self.client.flush_all(noreply=False)

    def test_storing(self):
        c = self.client
        self.assertTrue(c.set("k", "v", noreply=False))
        self.assertEqual(c.get("k"), b"v")
        self.assertFalse(c.add("k", "w", noreply=False))
        self.assertTrue(c.replace("k", "w", noreply=False))
        self.assertFalse(c.replace("none", "w", noreply=False))
        self.assertEqual(c.get("k"), b"w")
        self.assertIsNone(c.get("none"))
        self.assertTrue(c.delete("k", noreply=False))
        self.assertFalse(c.delete("k", noreply=False))

    def test_compare_and_swap(self):
        c = self.client
        c.set("k", "v", noreply=False)
        value, version = c.gets("k")
        self.assertEqual(value, b"v")
        self.assertTrue(c.cas("k", "w", version))
        self.assertFalse(c.cas("k", "x", version))
        self.assertIsNone(c.cas("none", "x", version))

    def test_counting(self):
        c = self.client
        c.set("n", "10", noreply=False)
        self.assertEqual([c.incr("n", 5), c.decr("n", 20)], [15, 0])
        self.assertIsNone(c.incr("none", 1))

    def test_touch_and_many(self):
        c = self.client
        c.set_many({"a": "1", "b": "2"}, noreply=False)
        self.assertEqual(c.get_many(["a", "b", "none"]), {"a": b"1", "b": b"2"})
        self.assertTrue(c.touch("a", 100, noreply=False))
        self.assertFalse(c.touch("none", 100, noreply=False))

    def test_noreply_keeps_the_connection_in_sync(self):
        for i in range(1000):
            self.client.set(f"k{i}", str(i), noreply=True)
        self.assertEqual(self.client.get("k999"), b"999")

    def test_stats_and_version(self):
        self.assertIn(b"curr_items", self.client.stats())
        self.assertTrue(self.client.version())

    def test_keys_are_shared_with_redis(self):
        r = redis.Redis(port=self.server.port)
        r.set("from redis", "1") and r.set("shared", "one")
        self.assertEqual(self.client.get("shared"), b"one")
        self.client.set("shared", "two", noreply=False)
        self.assertEqual(r.get("shared"), b"two")
        r.close()

    def test_get_and_touch(self):
        self.client.set("k", "v", noreply=False)
        self.assertEqual(self.talk(b"gat 100 k none\r\n", b"END\r\n"), b"VALUE k 0 1\r\nv\r\nEND\r\n")
        version = self.talk(b"gats 100 k\r\n", b"END\r\n").split(b"\r\n")[0].split()[4]
        self.assertTrue(self.client.cas("k", "w", version))
        self.assertEqual(self.talk(b"mg k t\r\n", b"\r\n"), b"HD t-1\r\n")

    def test_append_prepend_and_flags(self):
        c = self.client
        c.set("k", "b", noreply=False, flags=4294967295)
        self.assertTrue(c.append("k", "c", noreply=False))
        self.assertTrue(c.prepend("k", "a", noreply=False))
        self.assertFalse(c.append("none", "x", noreply=False))
        self.assertEqual(self.talk(b"get k\r\n", b"END\r\n"), b"VALUE k 4294967295 3\r\nabc\r\nEND\r\n")

    def test_expiry_negative_and_by_date(self):
        c = self.client
        c.set("gone", "v", expire=-1, noreply=False)
        c.set("past", "v", expire=int(time.time()) - 10, noreply=False)
        c.set("future", "v", expire=int(time.time()) + 100, noreply=False)
        self.assertEqual(c.get_many(["gone", "past", "future"]), {"future": b"v"})

    def test_a_flush_with_a_delay_comes_at_its_moment(self):
        c = self.client
        c.set("k", "v", noreply=False)
        self.assertTrue(c.flush_all(delay=1, noreply=False))
        self.assertEqual(c.get("k"), b"v")
        end = time.time() + 10
        while c.get("k") is not None:
            self.assertLess(time.time(), end)
            time.sleep(0.05)
        c.set("k", "w", noreply=False)
        time.sleep(1.1)
        self.assertEqual(c.get("k"), b"w")

    def test_all_kinds_of_stats(self):
        self.assertEqual(self.client.stats("settings")[b"item_size_max"], 1 << 20)
        self.assertEqual(self.client.stats("items"), {})
        self.assertEqual(self.client.stats("slabs"), {})
        self.assertTrue(any(name.endswith(b":state") for name in self.client.stats("conns")))

    def test_a_value_of_a_redis_client_can_be_won_too(self):
        r = redis.Redis(port=self.server.port)
        r.set("k", "v", ex=20)
        self.assertEqual(self.talk(b"mg k R30 v\r\nmg k R30 v h\r\nmn\r\n", b"MN\r\n"),
                         b"VA 1 W\r\nv\r\nVA 1 h1 Z\r\nv\r\nMN\r\n")
        self.assertEqual(self.talk(b"md k I\r\n", b"\r\n"), b"HD\r\n")
        self.assertEqual(r.get("k"), b"v")
        r.set("k", "w")
        self.assertEqual(self.talk(b"mg k h v\r\nmg k h\r\nmn\r\n", b"MN\r\n"), b"VA 1 h0\r\nw\r\nHD h1\r\nMN\r\n")
        r.close()

    def talk(self, question, end):
        """Sends bytes and returns all up to `end`."""
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as s:
            s.sendall(question)
            received = b""
            while not received.endswith(end):
                piece = s.recv(65536)
                self.assertTrue(piece, received)
                received += piece
            return received

    def test_a_value_too_large_is_refused_its_data_dropped_and_what_it_was_to_replace_is_gone(self):
        refused = b"SERVER_ERROR object too large for cache\r\n"
        largest, larger = b"x" * (1 << 20), b"x" * ((1 << 20) + 1)
        for command, is_gone in ((b"set k 0 0 %d\r\n", True), (b"add k 0 0 %d\r\n", False),
                                 (b"append k 0 0 %d\r\n", False), (b"cas k 0 0 %d 1\r\n", False),
                                 (b"ms k %d ME q\r\n", True)):
            self.client.set("k", "v", noreply=False)
            data = larger.replace(b"xxxxxxxxxxx", b"\r\nflush_all", 1)
            self.assertEqual(self.talk(command % len(data) + data + b"\r\nmn\r\n", b"MN\r\n"), refused + b"MN\r\n")
            self.assertEqual(self.client.get("k"), None if is_gone else b"v", command)
        self.assertTrue(self.client.set("k", largest, noreply=False))
        self.assertEqual(self.client.get("k"), largest)
        self.assertFalse(self.client.append("k", "x", noreply=False))
        self.assertEqual(self.talk(b"ms k 1 MA\r\nx\r\nset k 0 0 %d noreply\r\n" % len(larger) + larger + b"\r\nmn\r\n",
                                   b"MN\r\n"), b"NS\r\nMN\r\n")
        self.assertIsNone(self.client.get("k"))

    def test_the_largest_value_is_an_option(self):
        with Nuthatch("cache", "--memory", "64M", "--max-item", "4M") as server:
            client = Client(("127.0.0.1", server.port), timeout=10)
            self.assertTrue(client.set("k", b"x" * (4 << 20), noreply=False))
            self.assertEqual(len(client.get("k")), 4 << 20)
            client.close()

    def test_the_binary_protocol_is_refused_and_the_log_says_so(self):
        with Nuthatch("cache", listen=["tcp://127.0.0.1:0", "memcached://127.0.0.1:0"]) as server:
            for port in server.ports:
                self.assertEqual(raw(port, b"\x80\x0b" + bytes(22)), b"")
            server.wait_for("refused input from .*: memcached's binary protocol, which is not supported")

    def test_a_million_spaces_are_refused_with_little_memory(self):
        before = self.server.allocated_kib()
        received = raw(self.server.port, b"get" + b" " * 1000000 + b"k\r\n")
        self.assertIn(received, (b"CLIENT_ERROR line too long\r\n", b""))
        self.assertLess(self.server.allocated_kib() - before, 4096)
        self.assertTrue(self.client.version())

    def test_memccapable_finds_a_memcached(self):
        """libmemcached's own suite, its ASCII part."""
        run = subprocess.run(["memccapable", "-a", "-h", "127.0.0.1", "-p", str(self.server.port)],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("All tests passed", run.stdout + run.stderr)


if __name__ == "__main__":
    unittest.main()
