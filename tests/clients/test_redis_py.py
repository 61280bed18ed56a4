"""redis-py finds what it expects, in RESP2 and with what it sends on connect."""
import unittest

import redis

from harness import Nuthatch


class RedisPy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Nuthatch("cache", "--memory", "64M")
        cls.client = redis.Redis(port=cls.server.port, client_name="tests", decode_responses=True)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.server.stop() == 0

    def setUp(self):
        self.client.flushall()

    def test_connecting(self):
        self.assertTrue(self.client.ping())
        self.assertEqual(self.client.client_getname(), "tests")
        self.assertGreater(self.client.client_id(), 0)
        self.assertEqual(self.client.echo("hi"), "hi")

    def test_set_and_its_options(self):
        c = self.client
        self.assertTrue(c.set("k", "v", ex=100))
        self.assertTrue(0 < c.ttl("k") <= 100)
        self.assertIsNone(c.set("k", "w", nx=True))
        self.assertTrue(c.set("k", "w", xx=True, keepttl=True))
        self.assertTrue(0 < c.pttl("k") <= 100000)
        self.assertEqual(c.set("k", "x", get=True), "w")
        self.assertEqual(c.ttl("k"), -1)
        self.assertIsNone(c.set("absent", "x", xx=True))
        self.assertTrue(c.set("k", "v", px=1))
        self.assertEqual(c.ttl("never there"), -2)

    def test_many_keys(self):
        c = self.client
        self.assertTrue(c.mset({"a": "1", "b": "2"}))
        self.assertEqual(c.mget("a", "none", "b"), ["1", None, "2"])
        self.assertEqual(c.exists("a", "b", "none", "a"), 3)
        self.assertEqual(c.dbsize(), 2)
        self.assertEqual(c.delete("a", "b", "none"), 2)

    def test_counting(self):
        c = self.client
        self.assertEqual([c.incr("n"), c.incr("n", 41), c.decr("n"), c.decrby("n", 2)], [1, 42, 41, 39])
        c.set("text", "abc")
        with self.assertRaisesRegex(redis.ResponseError, "value is not an integer or out of range"):
            c.incr("text")
        c.set("n", str(2**63 - 1))
        with self.assertRaisesRegex(redis.ResponseError, "overflow"):
            c.incr("n")

    def test_expiry(self):
        c = self.client
        c.set("k", "v")
        self.assertTrue(c.expire("k", 100))
        self.assertTrue(c.pexpire("k", 5000))
        self.assertTrue(0 < c.pttl("k") <= 5000)
        self.assertFalse(c.expire("none", 1))
        c.expire("k", -1)
        self.assertIsNone(c.get("k"))

    def test_pipeline_of_many_commands(self):
        with self.client.pipeline(transaction=False) as pipe:
            for i in range(10000):
                pipe.set(f"k{i}", "x" * (i % 300))
                pipe.get(f"k{i}")
            answers = pipe.execute()
        self.assertEqual(answers[1::2], ["x" * (i % 300) for i in range(10000)])

    def test_large_and_binary_values(self):
        raw = redis.Redis(port=self.server.port)
        for size in (0, 1, 4095, 4096, 65535, 65536, 1 << 20, 20 << 20):
            value = bytes(i * 31 & 255 for i in range(min(size, 1000))) * (size // 1000 + 1)
            value = value[:size]
            raw.set(b"\x00key\r\n", value)
            self.assertEqual(raw.get(b"\x00key\r\n"), value)
        raw.close()

    def test_info_and_command(self):
        info = self.client.info()
        for field in ("redis_version", "used_memory", "connected_clients", "keyspace_hits", "uptime_in_seconds"):
            self.assertIn(field, info)
        self.assertIn("get", self.client.command())

    def test_databases_are_apart(self):
        other = redis.Redis(port=self.server.port, db=3, decode_responses=True)
        other.set("k", "three")
        self.assertIsNone(self.client.get("k"))
        self.assertEqual(other.get("k"), "three")
        other.close()

    def test_errors_name_the_mistake(self):
        for command, error in ((("NOSUCH", "a"), "unknown command"), (("GET",), "wrong number of arguments"),
                               (("SET", "k", "v", "EX", "0"), "invalid expire time"),
                               (("SET", "k", "v", "NX", "XX"), "syntax error")):
            with self.assertRaisesRegex(redis.ResponseError, error):
                self.client.execute_command(*command)


if __name__ == "__main__":
    unittest.main()
