"""pymemcache finds what it expects, over the keys that Redis clients see."""
import socket
import unittest

import redis
from pymemcache.client.base import Client

from harness import Nuthatch


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
        self.client.flush_all()

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

    def test_a_value_too_large_is_refused_and_the_connection_goes_on(self):
        with socket.create_connection(("127.0.0.1", self.server.port), 10) as s:
            size = 65 << 20
            s.sendall(f"set big 0 0 {size}\r\n".encode())
            piece = b"x" * (1 << 20)
            for _ in range(size >> 20):
                s.sendall(piece)
            s.sendall(b"\r\nversion\r\n")
            received = b""
            while b"VERSION" not in received:
                received += s.recv(4096)
            self.assertTrue(received.startswith(b"SERVER_ERROR object too large for cache\r\n"), received)


if __name__ == "__main__":
    unittest.main()
