"""memcached's protocol in front of a tier: random conversations have the answers of a real memcached; what one node writes
another reads, whatever the protocol; and what the tier cannot say is an error that says so.

    MEMCACHED_SEED=7 python3 tests/clients/test_tier_memcached.py
"""
import base64
import collections
import concurrent.futures
import re
import socket
import time
import unittest

from pymemcache.client.base import Client
from pymemcache.serde import pickle_serde

import test_memcached_differential as differential
from harness import Nuthatch
from redis_cluster import RedisCluster, RedisServers, slot_of
from resp_client import Connection

DIFFERENTIAL_S = 3
LISTEN = {"listen": "tcp://127.0.0.1:0"}


class Talk(differential.Talk):
    """What a tier can say: it does not keep when an item was read, or under which form of its key it was written, and of two
    numbers (cas) cannot tell the older."""

    def meta_flags(self, specific, key_of_version):
        return [flag for flag in super().meta_flags(specific, key_of_version) if flag[:1] not in (b"h", b"l", b"b")]

    def question(self):
        while True:
            question = super().question()
            line = question.split(b"\r\n")[0]
            if not question.startswith(b"me") and not (question.startswith(b"ms") and b" I" in line):
                return question


class Raw:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, text):
        """All that is answered to lines that are sent at once."""
        self.socket.sendall(text + b"mn\r\n")
        answer = b""
        while not answer.endswith(b"MN\r\n"):
            piece = self.socket.recv(65536)
            assert piece, f"closed after {answer!r}"
            answer += piece
        return answer[:-4]

    def close(self):
        self.socket.close()


class TierMemcachedDifferential(unittest.TestCase):
    def test_random_conversations_are_answered_as_memcached_answers_them(self):
        print(f"MEMCACHED_SEED={differential.SEED}", flush=True)
        differential.Talk = Talk
        began, done = time.time(), 0
        with differential.Memcached() as memcached, RedisServers(replica_count=0) as tier, \
                Nuthatch("cache", "--memory", "64M", "--threads", "1", "--tier", tier.url,
                         listen="memcached://127.0.0.1:0") as nuthatch:
            theirs, ours = differential.Talker(memcached.port), differential.Talker(nuthatch.port)
            while time.time() - began < DIFFERENTIAL_S:
                seed = f"{differential.SEED}/{done}"
                found = differential.difference(theirs, ours, seed, done)
                if found and all(differential.difference(theirs, ours, seed, 100000 * again + done) for again in range(1, 4)):
                    self.fail(f"MEMCACHED_SEED={differential.SEED}, sequence {done}:\n{found}")
                done += 1
            theirs.socket.close(), ours.socket.close()
        print(f"{done} sequences, {done * differential.COMMANDS} commands", flush=True)
        self.assertGreater(done, 20)


class TierMemcached(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = RedisCluster(replica_count=0)
        cls.nodes = [Nuthatch("cache", "--memory", "64M", "--threads", "2", "--tier", cls.cluster.url, "--max-item", "1048576",
                              "--tier-timeout", "3s", **LISTEN) for _ in range(2)]
        cls.raws = [Raw(node.port) for node in cls.nodes]
        cls.redis = [Connection(node.port) for node in cls.nodes]

    @classmethod
    def tearDownClass(cls):
        for connection in cls.raws + cls.redis:
            connection.close()
        stopped = [node.stop() for node in cls.nodes]
        cls.cluster.stop()
        assert stopped == [0, 0], stopped

    def setUp(self):
        self.here, self.there = self.raws
        self.assertEqual(self.here.ask(b"flush_all\r\n"), b"OK\r\n")

    def in_the_tier(self, *command):
        return self.cluster.owner(command[1]).call(*command)

    def until_there(self, question, answer):
        """What is near may be given for the bound."""
        end = time.time() + 10
        while (said := self.there.ask(question)) != answer and time.time() < end:
            time.sleep(0.01)
        self.assertEqual(said, answer)

    def test_what_one_node_writes_the_other_reads(self):
        clients = [Client(("127.0.0.1", node.port), timeout=10, no_delay=True) for node in self.nodes]
        for number in range(20):
            self.assertTrue(clients[0].set(f"k{number}", f"v{number}", noreply=False))
        self.assertEqual(clients[1].get_many([f"k{n}" for n in range(25)]), {f"k{n}": b"v%d" % n for n in range(20)})
        for number in range(20):
            self.assertTrue(clients[0].set(f"k{number}", f"w{number}", noreply=False))
        self.until_there(b"get k0 k1 k2\r\n", b"VALUE k0 0 2\r\nw0\r\nVALUE k1 0 2\r\nw1\r\nVALUE k2 0 2\r\nw2\r\nEND\r\n")
        self.assertEqual([clients[0].incr("n", 1), clients[0].add("n", "5", noreply=False), clients[1].incr("n", 3), clients[0].decr("n", 9)],
                         [None, True, 8, 0])
        self.assertTrue(clients[1].delete("n", noreply=False))
        self.assertEqual(clients[0].touch("n", 100, noreply=False), False)
        value, version = clients[0].gets("k1")
        self.assertEqual([clients[1].cas("k1", "x", version), clients[0].cas("k1", "y", version), clients[0].cas("none", "y", version)],
                         [True, False, None])
        for client in clients:
            client.close()

    def test_a_value_without_flags_is_what_redis_clients_see_and_one_with_flags_has_them_before_it(self):
        self.assertEqual(self.here.ask(b"set plain 0 0 5\r\nhello\r\nset flagged 7 0 5\r\nhello\r\n"), b"STORED\r\nSTORED\r\n")
        self.assertEqual(self.redis[1].call("GET", "plain"), b"hello")
        self.assertEqual(self.in_the_tier("GET", "flagged"), b"\0nhItem\0\0\0\0\x07hello")
        self.assertEqual(self.redis[1].call("APPEND", "flagged", "!"), 18)
        self.until_there(b"get flagged\r\n", b"VALUE flagged 7 6\r\nhello!\r\nEND\r\n")
        self.assertEqual(self.there.ask(b"append flagged 0 0 1\r\n?\r\nprepend flagged 0 0 1\r\n>\r\nget flagged\r\n"),
                         b"STORED\r\nSTORED\r\nVALUE flagged 7 8\r\n>hello!?\r\nEND\r\n")
        # What looks like an item's head is a value like any other.
        self.assertEqual(self.here.ask(b"set odd 0 0 13\r\n\0nhItem\0\0\0\0\x07x\r\nget odd\r\n"),
                         b"STORED\r\nVALUE odd 0 13\r\n\0nhItem\0\0\0\0\x07x\r\nEND\r\n")
        self.assertEqual(self.redis[0].call("SET", "plain", "again"), "OK")
        self.assertEqual(self.here.ask(b"get plain\r\n"), b"VALUE plain 0 5\r\nagain\r\nEND\r\n")
        self.redis[0].call("RPUSH", "list", "a")
        self.assertRegex(self.here.ask(b"get list\r\n"), rb"^SERVER_ERROR WRONGTYPE")
        self.assertRegex(self.here.ask(b"incr list 1\r\n"), rb"^SERVER_ERROR.*WRONGTYPE")

    def test_objects_of_a_library_that_marks_them_by_flags(self):
        for node, key in zip(self.nodes, ("a", "b")):
            client = Client(("127.0.0.1", node.port), timeout=10, serde=pickle_serde)
            client.set("shared", {"n": [1, 2.5]}, noreply=False) if key == "a" else None
            self.assertEqual(client.get("shared"), {"n": [1, 2.5]})
            client.close()

    def test_answers_come_in_the_order_of_the_questions(self):
        self.here.ask(b"set near 0 0 4\r\nnear\r\nget near\r\n")
        asked = b"".join(b"set k%d 0 0 2\r\n%02d\r\nget near k%d none\r\nversion\r\nset q 0 0 1 noreply\r\nv\r\nincr k%d 1 noreply\r\n"
                         b"get k%d\r\nbad\r\n" % (n, n, n, n, n) for n in range(50))
        answer = self.here.ask(asked)
        version = re.search(rb"VERSION .*?\r\n", answer).group(0)
        self.assertEqual(answer, b"".join(
            b"STORED\r\nVALUE near 0 4\r\nnear\r\nVALUE k%d 0 2\r\n%02d\r\nEND\r\n" % (n, n) + version +
            b"VALUE k%d 0 2\r\n%-2d\r\nEND\r\nERROR\r\n" % (n, n + 1) for n in range(50)))

    def test_expiry_is_the_tiers(self):
        self.here.ask(b"set a 0 100 1\r\nv\r\nset b 0 -1 1\r\nv\r\nset c 0 %d 1\r\nv\r\nset d 0 100 1\r\nv\r\nset e 0 0 1\r\nv\r\n" %
                      (int(time.time()) + 5000))
        self.assertTrue(99000 < self.in_the_tier("PTTL", "a") <= 100000)
        self.assertEqual([self.in_the_tier("EXISTS", key) for key in "abcde"], [1, 0, 1, 1, 1])
        self.assertTrue(4997000 < self.in_the_tier("PTTL", "c") <= 5000000)
        self.assertEqual(self.there.ask(b"touch a 0\r\ngat 50 d e none\r\ntouch e -1\r\ntouch none 5\r\n"),
                         b"TOUCHED\r\nVALUE d 0 1\r\nv\r\nVALUE e 0 1\r\nv\r\nEND\r\nTOUCHED\r\nNOT_FOUND\r\n")
        self.assertEqual(self.in_the_tier("PTTL", "a"), -1)
        self.assertTrue(49000 < self.in_the_tier("PTTL", "d") <= 50000)
        self.assertEqual(self.in_the_tier("EXISTS", "e"), 0)

    def test_what_is_too_large_is_refused_and_not_taken_for_the_old_value(self):
        large = b"x" * 1048577
        self.here.ask(b"set k 0 0 1\r\nv\r\n")
        self.assertEqual(self.here.ask(b"set k 0 0 1048577\r\n" + large + b"\r\nget k\r\n"),
                         b"SERVER_ERROR object too large for cache\r\nEND\r\n")
        self.here.ask(b"set k 0 0 1048576\r\n" + large[:-1] + b"\r\n")
        self.assertEqual(self.there.ask(b"append k 0 0 1\r\nx\r\n"), b"NOT_STORED\r\n")
        self.assertEqual(len(self.there.ask(b"get k\r\n")), 1048576 + len("VALUE k 0 1048576\r\n\r\nEND\r\n"))
        self.assertEqual(self.here.ask(b"get " + b"k" * 250 + b"\r\nset " + b"k" * 250 + b" 1 0 1\r\nv\r\nget " + b"k" * 250 + b"\r\n"),
                         b"END\r\nSTORED\r\nVALUE " + b"k" * 250 + b" 1 1\r\nv\r\nEND\r\n")

    def test_meta_commands_say_what_there_is(self):
        self.assertEqual(self.here.ask(b"ms k 5 F7 T100 c\r\nhello\r\n"), self.there.ask(b"mg k c\r\n"))
        self.assertRegex(self.there.ask(b"mg k v f s k t Oq\r\nmg k v f\r\nmg none v k Ox\r\nmg none v q\r\n"),
                         rb"^VA 5 f7 s5 kk t(99|100) Oq\r\nhello\r\nVA 5 f7\r\nhello\r\nEN knone Ox\r\n$")
        self.assertEqual(self.there.ask(b"mg k T0 t\r\nmg k t\r\n"), b"HD t-1\r\nHD t-1\r\n")
        self.assertEqual(self.in_the_tier("PTTL", "k"), -1)
        key = base64.b64encode(b"sp ace")
        self.assertEqual(self.here.ask(b"ms %s 1 b\r\nv\r\nmg %s b v k\r\n" % (key, key)), b"HD\r\nVA 1 k%s b\r\nv\r\n" % key)
        self.assertEqual(self.redis[1].call("GET", "sp ace"), b"v")
        self.assertRegex(self.here.ask(b"me k\r\nme none\r\n"), rb"^ME k exp=-1 cas=\d+ cls=0 size=6\r\nEN\r\n$")
        for refused in (b"mg k h", b"mg k l", b"ma k E5", b"md k E5"):
            self.assertRegex(self.here.ask(refused + b"\r\n"), rb"^CLIENT_ERROR .* leave out")
        self.assertEqual(self.here.ask(b"ma n N0 J5 v\r\nma n D3 v\r\nma n MD D100 v\r\nms n 1 MA\r\n1\r\nmg n v\r\n"),
                         b"VA 1\r\n5\r\nVA 1\r\n8\r\nVA 1\r\n0\r\nHD\r\nVA 2\r\n01\r\n")

    def test_of_all_clients_of_all_nodes_one_is_told_to_recache(self):
        raws = [Raw(node.port) for node in self.nodes for _ in range(5)]

        def all_of_them(question):
            with concurrent.futures.ThreadPoolExecutor(len(raws)) as pool:
                return collections.Counter(pool.map(lambda raw: raw.ask(question), raws))
        self.assertEqual(all_of_them(b"mg fresh v N30\r\n"), {b"VA 0 W\r\n\r\n": 1, b"VA 0 Z\r\n\r\n": 9})
        self.assertEqual(self.here.ask(b"ms fresh 3 T100\r\nnew\r\nmg fresh v\r\n"), b"HD\r\nVA 3\r\nnew\r\n")
        self.until_there(b"mg fresh v\r\n", b"VA 3\r\nnew\r\n")
        self.assertEqual(all_of_them(b"mg fresh v R200\r\n"), {b"VA 3 W\r\nnew\r\n": 1, b"VA 3 Z\r\nnew\r\n": 9})
        before = self.here.ask(b"ms fresh 3 T100 c\r\nold\r\n")
        self.assertEqual(self.here.ask(b"md fresh I T60\r\n"), b"HD\r\n")
        self.until_there(b"gets fresh\r\n", self.here.ask(b"gets fresh\r\n"))
        self.assertEqual(all_of_them(b"mg fresh v\r\n"), {b"VA 3 X W\r\nold\r\n": 1, b"VA 3 Z X\r\nold\r\n": 9})
        # Who has computed from what was invalidated meanwhile may store it as stale.
        number = before.split(b" c")[1].strip()
        self.assertEqual(self.here.ask(b"ms fresh 2 C%s\r\nxx\r\nms fresh 2 I C%s\r\nyy\r\nmg fresh v\r\n" % (number, number)),
                         b"EX\r\nHD\r\nVA 2 Z X\r\nyy\r\n")
        number = self.here.ask(b"mg fresh c\r\n").split(b" ")[1][1:]
        self.assertEqual(self.here.ask(b"ms fresh 2 C%s\r\nzz\r\nmg fresh v\r\nmd fresh C1\r\nmd fresh q\r\n" % number),
                         b"HD\r\nVA 2\r\nzz\r\nEX\r\n")
        for raw in raws:
            raw.close()

    def test_a_slot_that_moves_takes_its_items_along(self):
        key = b"moving"
        self.here.ask(b"set moving 3 0 1\r\n1\r\n")
        slot = slot_of(key)
        target = self.cluster.another_primary(self.cluster.owner(slot))
        self.cluster.begin_migration(slot, target)
        for raw in (self.here, self.there):
            self.assertRegex(raw.ask(b"incr moving 1\r\nget moving\r\n"), rb"^\d\r\nVALUE moving 3 1\r\n\d\r\nEND\r\n$")
        self.cluster.move_keys(slot)
        for raw in (self.here, self.there):
            self.assertRegex(raw.ask(b"incr moving 1\r\nget moving\r\n"), rb"^\d\r\nVALUE moving 3 1\r\n\d\r\nEND\r\n$")
        self.cluster.finish_migration(slot)
        self.assertEqual(self.here.ask(b"incr moving 1\r\nadd moving 0 0 1\r\nx\r\ncas moving 0 0 1 5\r\nx\r\n"), b"6\r\nNOT_STORED\r\nEXISTS\r\n")
        self.until_there(b"get moving\r\n", b"VALUE moving 3 1\r\n6\r\nEND\r\n")

    def test_flushing_is_of_all_servers_and_not_for_later(self):
        self.here.ask(b"".join(b"set k%d 0 0 1\r\nv\r\n" % n for n in range(30)))
        self.there.ask(b"get k1 k2\r\n")
        self.assertRegex(self.here.ask(b"flush_all 10\r\n"), rb"^CLIENT_ERROR flush_all with a delay")
        self.assertEqual(self.here.ask(b"flush_all\r\nget k1 k7\r\n"), b"OK\r\nEND\r\n")
        self.until_there(b"get k1 k2\r\n", b"END\r\n")


class TierAway(unittest.TestCase):
    def test_a_tier_that_is_away_is_an_error_and_comes_back(self):
        with RedisServers(replica_count=0) as tier, \
                Nuthatch("cache", "--memory", "64M", "--tier", tier.url, "--tier-timeout", "1s", **LISTEN) as node:
            raw = Raw(node.port)
            self.assertEqual(raw.ask(b"set k 0 0 1\r\nv\r\nget k\r\n"), b"STORED\r\nVALUE k 0 1\r\nv\r\nEND\r\n")
            tier.nodes[0].kill()
            answers = raw.ask(b"set k 0 0 1\r\nw\r\nget k other\r\nincr k 1\r\ntouch k 0\r\ngat 5 k\r\nflush_all\r\nversion\r\n").split(b"\r\n")
            self.assertEqual([answer.split(b" ")[0] for answer in answers], [b"SERVER_ERROR"] * 6 + [b"VERSION", b""], answers)
            tier.nodes[0].start()
            end = time.time() + 20
            while raw.ask(b"set k 0 0 1\r\nx\r\n") != b"STORED\r\n" and time.time() < end:
                time.sleep(0.05)
            self.assertEqual(raw.ask(b"get k\r\n"), b"VALUE k 0 1\r\nx\r\nEND\r\n")
            raw.close()

    def test_a_user_may_do_here_what_he_may(self):
        with RedisServers(replica_count=0) as tier, \
                Nuthatch("cache", "--memory", "64M", "--tier", tier.url, "--requirepass", "p", **LISTEN) as node:
            with Connection(node.port, user="default", password="p") as admin:
                admin.call("ACL", "SETUSER", "mc", "on", ">secret", "~m:*", "+@read", "+set", "+mn")
            raw = Raw(node.port)
            raw.socket.sendall(b"get m:1\r\n")
            self.assertEqual(raw.socket.recv(100), b"CLIENT_ERROR unauthenticated\r\n")
            self.assertEqual(raw.ask(b"set any 0 0 9\r\nmc secret\r\n"), b"STORED\r\n")
            self.assertEqual(raw.ask(b"set m:1 0 0 1\r\nv\r\nget m:1\r\nget other\r\nincr m:1 1\r\n"),
                             b"STORED\r\nVALUE m:1 0 1\r\nv\r\nEND\r\nCLIENT_ERROR not permitted\r\nCLIENT_ERROR not permitted\r\n")
            raw.close()


if __name__ == "__main__":
    unittest.main()
