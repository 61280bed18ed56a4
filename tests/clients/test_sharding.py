"""Clients that shard by themselves over several nuthatch nodes, as they do over any memcached or Redis: twemproxy
(nutcracker) in both protocols, libmemcached's ketama (pylibmc) and pymemcache's HashClient. See docs/sharding.md."""
import collections
import contextlib
import os
import shutil
import socket
import tempfile
import unittest

import pylibmc
import redis
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheError

from harness import Nuthatch, PATIENCE_S, Process, free_port
from redis_cluster import stable_port, until

NODE_COUNT = 3
KEYS = [f"key:{n}" for n in range(600)]


class Node(Nuthatch):
    """Comes back at the same port."""

    def __init__(self, port=None):
        super().__init__("cache", "--memory", "64M", "--threads", "1",
                         listen=f"tcp://127.0.0.1:{port or stable_port()}")

    def keys(self):
        with redis.Redis(port=self.port) as c:
            return {key.decode() for key in c.keys()}


class Nutcracker(Process):
    """One pool over `nodes`; `redis`: in the Redis protocol."""

    def __init__(self, nodes, redis=False, eject=False):
        self.folder = tempfile.mkdtemp(prefix="nuthatch-nutcracker-")
        self.port = stable_port()
        servers = "".join(f"\n   - 127.0.0.1:{node.port}:1" for node in nodes)
        with open(f"{self.folder}/conf", "w") as conf:
            conf.write(f"""
pool:
  listen: 127.0.0.1:{self.port}
  hash: md5
  distribution: ketama
  redis: {'true' if redis else 'false'}
  timeout: 2000
  server_retry_timeout: 300
  server_failure_limit: 1
  auto_eject_hosts: {'true' if eject else 'false'}
  servers:{servers}
""")
        nutcracker = shutil.which("nutcracker") or "/usr/sbin/nutcracker"
        super().__init__([nutcracker, "-c", f"{self.folder}/conf", "-a", "127.0.0.1", "-s", str(free_port())])
        until(self.is_listening, "nutcracker")

    def is_listening(self):
        assert self.process.poll() is None, self.log
        try:
            socket.create_connection(("127.0.0.1", self.port), PATIENCE_S).close()
            return True
        except OSError:
            return False

    def __exit__(self, *arguments):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def memcached_client(port):
    return contextlib.closing(Client(("127.0.0.1", port), timeout=PATIENCE_S, no_delay=True))


def shares(nodes):
    """How many of KEYS each node has, and how many copies there are of any."""
    where = collections.Counter(key for node in nodes for key in node.keys() if key in KEYS)
    return [len(node.keys() & set(KEYS)) for node in nodes], set(where.values())


class Sharding(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.nodes = [Node() for _ in range(NODE_COUNT)]

    @classmethod
    def tearDownClass(cls):
        for node in cls.nodes:
            assert node.stop() == 0, node.log

    def setUp(self):
        for node in self.nodes:
            with redis.Redis(port=node.port) as c:
                c.flushall()

    def assert_shared_out(self):
        """Each key is at one node, and each node has a fair part of them."""
        counts, copies = shares(self.nodes)
        self.assertEqual((sum(counts), copies), (len(KEYS), {1}))
        self.assertGreater(min(counts), len(KEYS) / NODE_COUNT / 3)

    # ---- twemproxy ----

    def test_twemproxy_in_memcaches_protocol(self):
        with Nutcracker(self.nodes) as proxy, memcached_client(proxy.port) as c:
            for key in KEYS:
                self.assertTrue(c.set(key, key.upper(), noreply=False))
            self.assert_shared_out()
            self.assertEqual(c.get_many(KEYS), {key: key.upper().encode() for key in KEYS})
            self.assertEqual(c.get_many(["none", KEYS[0]]), {KEYS[0]: KEYS[0].upper().encode()})
            value, token = c.gets(KEYS[0])
            self.assertTrue(c.cas(KEYS[0], "1", token, noreply=False))
            self.assertFalse(c.cas(KEYS[0], "2", token, noreply=False))
            self.assertEqual(c.incr(KEYS[0], 41, noreply=False), 42)
            self.assertFalse(c.add(KEYS[1], "x", noreply=False))
            self.assertTrue(c.append(KEYS[1], "!", noreply=False))
            self.assertEqual(c.get(KEYS[1]), KEYS[1].upper().encode() + b"!")
            self.assertTrue(c.touch(KEYS[1], 100, noreply=False))
            self.assertTrue(c.delete(KEYS[1], noreply=False))
            self.assertIsNone(c.get(KEYS[1]))
            large = os.urandom(900000)
            self.assertTrue(c.set("large", large, noreply=False))
            self.assertEqual(c.get("large"), large)
            self.assertTrue(c.set("short", "x", expire=1, noreply=False))
            until(lambda: c.get("short") is None, "the end of a value's time")

    def test_twemproxy_in_rediss_protocol(self):
        with Nutcracker(self.nodes, redis=True) as proxy, redis.Redis(port=proxy.port, socket_timeout=PATIENCE_S) as c:
            pipe = c.pipeline(transaction=False)
            for key in KEYS:
                pipe.set(key, key.upper())
            self.assertEqual(pipe.execute(), [True] * len(KEYS))
            self.assert_shared_out()
            self.assertEqual(c.mget([*KEYS, "none"]), [key.upper().encode() for key in KEYS] + [None])
            self.assertEqual(c.delete(KEYS[0], KEYS[1], "none"), 2)
            self.assertEqual(c.incrby("n", 41) + c.incr("n"), 83)
            self.assertTrue(c.set("short", "x", px=50, nx=True))
            self.assertIsNone(c.set("short", "y", nx=True))
            self.assertLessEqual(c.pttl("short"), 50)
            until(lambda: c.get("short") is None, "the end of a value's time")
            large = os.urandom(3000000)
            self.assertTrue(c.set("large", large))
            self.assertEqual(c.get("large"), large)
            self.assertEqual((c.append("{tag}1", "ab"), c.getrange("{tag}1", 1, 1), c.strlen("{tag}1")), (2, b"b", 2))
            self.assertTrue(c.mset({key: "1" for key in KEYS[:50]}))
            self.assertEqual(set(c.mget(KEYS[:50])), {b"1"})
            self.assertTrue(c.ping())

    def test_a_node_that_is_away_is_missed_for_its_own_keys_only(self):
        with Nutcracker(self.nodes, redis=True) as proxy, redis.Redis(port=proxy.port, socket_timeout=PATIENCE_S) as c:
            for key in KEYS:
                c.set(key, "1")
            lost = self.nodes[1].keys()
            self.assertEqual(self.nodes[1].stop(), 0)
            try:
                for key in KEYS[:100]:
                    if key in lost:
                        with self.assertRaises(redis.RedisError):
                            c.get(key)
                    else:
                        self.assertEqual(c.get(key), b"1")
            finally:
                self.nodes[1] = Node(self.nodes[1].port)
            key = next(iter(lost))

            def is_back():
                try:
                    return c.set(key, "2")
                except redis.RedisError:
                    return False
            until(is_back, "the node's return")
            self.assertEqual(self.nodes[1].keys(), {key})

    def test_a_node_that_is_ejected_is_replaced_by_the_others_until_it_is_back(self):
        with Nutcracker(self.nodes, eject=True) as proxy, memcached_client(proxy.port) as c:

            def write_all():
                try:
                    return all(c.set(key, "1", noreply=False) for key in KEYS)
                except MemcacheError:  # the first is told; then the node is out
                    return False
            write_all()
            before = [node.keys() for node in self.nodes]
            self.assertEqual(self.nodes[2].stop(), 0)
            try:
                until(write_all, "the others to take over")
                for node, had in zip(self.nodes[:2], before):
                    self.assertLess(had, node.keys())  # what they had has not moved
            finally:
                self.nodes[2] = Node(self.nodes[2].port)
            until(lambda: write_all() and self.nodes[2].keys() == before[2], "the node's return")

    # ---- clients ----

    def test_ketama_of_libmemcached(self):
        behaviours = {"ketama": True, "tcp_nodelay": True}
        c = pylibmc.Client([f"127.0.0.1:{node.port}" for node in self.nodes], behaviors=behaviours)
        self.assertEqual(c.set_multi({key: key.upper() for key in KEYS}), [])
        self.assert_shared_out()
        self.assertEqual(c.get_multi(KEYS), {key: key.upper() for key in KEYS})
        self.assertEqual(c.delete_multi(KEYS[:10]), True)
        self.assertNotIn(KEYS[0], c)
        # A node more moves about a quarter of the keys, and only to itself.
        more = Node()
        try:
            d = pylibmc.Client([f"127.0.0.1:{node.port}" for node in [*self.nodes, more]], behaviors=behaviours)
            before = {key: n for n, node in enumerate(self.nodes) for key in node.keys()}
            d.set_multi({key: "2" for key in KEYS})
            moved = more.keys()
            self.assertLess(len(moved), len(KEYS) / 2)
            self.assertGreater(len(moved), len(KEYS) / 16)
            for n, node in enumerate(self.nodes):
                with redis.Redis(port=node.port) as r:
                    written = {key.decode() for key in r.keys() if r.get(key) == b"2"}
                self.assertEqual({before.get(key, n) for key in written}, {n})
        finally:
            self.assertEqual(more.stop(), 0)

    def test_twemproxy_and_libmemcached_find_each_others_keys(self):
        behaviours = {"ketama_weighted": True, "tcp_nodelay": True}
        c = pylibmc.Client([f"127.0.0.1:{node.port}" for node in self.nodes], behaviors=behaviours)
        c.set_multi({key: key.upper() for key in KEYS})
        with Nutcracker(self.nodes) as proxy, memcached_client(proxy.port) as d:
            self.assertEqual(d.get_many(KEYS), {key: key.upper().encode() for key in KEYS})

    def test_rendezvous_of_pymemcache(self):
        c = HashClient([("127.0.0.1", node.port) for node in self.nodes], timeout=PATIENCE_S, no_delay=True)
        self.assertEqual(c.set_many({key: key.upper() for key in KEYS}, noreply=False), [])
        self.assert_shared_out()
        self.assertEqual(c.get_many(KEYS), {key: key.upper().encode() for key in KEYS})
        c.close()


if __name__ == "__main__":
    unittest.main()
