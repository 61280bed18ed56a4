"""A server of the shared tier that lies: who asks nuthatch is told an error in time, never a wrong value; nothing
crashes, memory is bounded, and no connection goes where none should (hostile_node.py is the liar)."""
import time
import unittest

import namespaces
from harness import FREED_IS_GONE, Nuthatch, PATIENCE_S
from hostile_node import Hangup, HostileNode, bulk, push, say, shards
from redis_cluster import SLOT_COUNT, slot_of, until
from resp_client import Connection, ReplyError

TIER_TIMEOUT_S = 0.5
LINK_LOCAL = "169.254.169.254"


def nuthatch(url, *options, resp=3):
    return Nuthatch("cache", "--tier", url, "--tier-resp", str(resp), "--tier-timeout", "500ms",
                    "--max-staleness", "500ms", "--threads", "1", "--memory", "64M", *options,
                    environment=FREED_IS_GONE)


def half_then_close(_node, wire, _words):
    wire.sendall(b"$100\r\nhalf of it")
    raise Hangup


def close(_node, _wire, _words):
    raise Hangup


def silent(_node, wire, _words):
    """Nothing is answered on this connection any more."""
    while wire.recv(65536):
        pass
    raise Hangup


def endless(head, piece):
    """Until the other side has had enough, or ten seconds are over."""
    def lie(_node, wire, _words):
        wire.sendall(head)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            wire.sendall(piece)
        raise Hangup
    return lie


def drip(_node, wire, _words):
    for byte in b"$1000000\r\n" + b"x" * 100:
        wire.sendall(bytes([byte]))
        time.sleep(0.05)
    raise Hangup


def moved_here(node, _wire, words):
    return b"-MOVED %d %s:%d\r\n" % (slot_of(words[1]), node.host.encode(), node.port)


def ask_here(node, _wire, words):
    return b"-ASK %d %s:%d\r\n" % (slot_of(words[1]), node.host.encode(), node.port)


NOT_REPLIES = {
    "an array of 4294967295": b"*4294967295\r\n",
    "an array of 2147483647": b"*2147483647\r\n",
    "a map of 9223372036854775807": b"%9223372036854775807\r\n",
    "a string of 4 GiB": b"$4294967296\r\n" + b"x" * 1000,
    "a string of 9223372036854775807": b"$9223372036854775807\r\n",
    "a string longer than a number": b"$99999999999999999999999\r\n",
    "a negative string": b"$-2\r\n\r\n",
    "a negative array": b"*-2\r\n",
    "a length with a sign": b"$+1\r\nv\r\n",
    "no length": b"$\r\n\r\n",
    "a number that is none": b":1x\r\n",
    "no end where it should be": b"$1\r\nvv\r\n",
    "a streamed string": b"$?\r\n;1\r\nv\r\n;0\r\n",
    "a streamed array": b"*?\r\n$1\r\nv\r\n.\r\n",
    "arrays within arrays": b"*1\r\n" * 100000,
    "a push within an array": b"*2\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n$1\r\nv\r\n",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "zeros": b"\0" * 1000,
    "half a reply": half_then_close,
    "nothing, closed": close,
    "nothing, silent": silent,
    "a line without an end": endless(b"+", b"x" * 65536),
    "an array without an end": endless(b"*1000000000\r\n", b":1\r\n" * 10000),
    "a string that trickles": drip,
}
WRONG_REPLIES = {
    "an array": b"*1\r\n$1\r\nv\r\n",
    "a number": b":1\r\n",
    "a map": b"%1\r\n$1\r\nv\r\n$1\r\nv\r\n",
    "a simple string": b"+v\r\n",
    "a boolean": b"#t\r\n",
}
REFUSALS = {
    "MOVED to itself": moved_here,
    "ASK to itself": ask_here,
    "TRYAGAIN for ever": b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    "CLUSTERDOWN for ever": b"-CLUSTERDOWN The cluster is down\r\n",
    "LOADING for ever": b"-LOADING Redis is loading the dataset in memory\r\n",
    "MOVED without words": b"-MOVED\r\n",
    "MOVED without a place": b"-MOVED 1\r\n",
    "MOVED of no slot": b"-MOVED 99999 127.0.0.1:1\r\n",
    "MOVED of slot -1": b"-MOVED -1 127.0.0.1:1\r\n",
    "MOVED to no port": b"-MOVED 1 127.0.0.1\r\n",
    "MOVED to port 99999": b"-MOVED 1 127.0.0.1:99999\r\n",
    "MOVED to a long name": b"-MOVED 1 " + b"h" * 5000 + b":1\r\n",
    "MOVED to bytes": b"-MOVED 1 \xff\xfe\x01:1\r\n",
    "an error of bytes": b"-\xff\xfe\x01 \x00\r\n",
    "WRONGTYPE": b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
}


class Lies(unittest.TestCase):
    """One nuthatch hears all of them, one after the other, and the truth in between."""
    resp = 3

    @classmethod
    def setUpClass(cls):
        cls.node = HostileNode()
        cls.server = nuthatch(cls.node.url, resp=cls.resp)
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()
        status = cls.server.stop()
        assert status == 0, cls.server.log

    def setUp(self):
        self.client = Connection(self.server.port)
        self.addCleanup(self.client.close)
        self.heal()

    def fresh_key(self):
        """One that is not near."""
        type(self).count += 1
        return b"key%d" % self.count

    def heal(self):
        self.node.lies.clear()

        def is_well():
            key = self.fresh_key()
            self.node.values[key] = b"truth"
            return self.client.ask("GET", key) == b"truth"
        until(is_well, "the truth")

    def told(self, *command):
        """What the client is told, in time."""
        before = time.monotonic()
        reply = self.client.ask(*command)
        self.assertLess(time.monotonic() - before, TIER_TIMEOUT_S + PATIENCE_S / 3)
        return reply

    def assert_errors(self, lies, name="GET"):
        for what, lie in lies.items():
            with self.subTest(what):
                self.node.lies[name] = lie
                self.assertIsInstance(self.told(name, self.fresh_key()), ReplyError)
                self.heal()

    def test_what_is_no_reply_ends_in_an_error(self):
        before_kib = self.server.resident_peak_kib()
        self.assert_errors(NOT_REPLIES)
        # A reply is bounded; what a sanitizer keeps about it is not ours.
        self.assertLess(self.server.resident_peak_kib() - before_kib, 512 * 1024)

    def test_a_reply_of_another_type_is_no_value(self):
        self.assert_errors(WRONG_REPLIES)

    def test_refusals_end(self):
        self.assert_errors(REFUSALS)
        self.assertNotIn("WRONGTYPE", repr(self.told("GET", self.fresh_key())))

    def test_an_extra_reply_is_nobody_elses_answer(self):
        one, other = self.fresh_key(), self.fresh_key()
        self.node.values |= {one: b"1", other: b"2"}
        self.node.lies["GET"] = lambda node, wire, words: bulk(node.values[words[1]]) + bulk(b"of nobody")
        for key, value in ((one, b"1"), (other, b"2")) * 3:
            reply = self.told("GET", key)
            if not isinstance(reply, ReplyError):
                self.assertEqual(reply, value)
        self.heal()
        for key, value in ((one, b"1"), (other, b"2")):
            self.assertEqual(self.told("GET", key), value)

    def test_a_reply_that_nobody_asked_for_closes_the_connection(self):
        self.assertGreater(self.node.push_all(bulk(b"of nobody")), 0)
        time.sleep(0.1)
        self.heal()
        key = self.fresh_key()
        self.assertIsNone(self.told("GET", key))

    def test_all_forms_of_null_are_a_missing_key(self):
        for null in (b"$-1\r\n", b"_\r\n", b"*-1\r\n"):
            self.node.lies["GET"] = null
            reply = self.told("GET", self.fresh_key())
            self.assertTrue(reply is None or isinstance(reply, ReplyError), reply)

    def test_greetings_that_are_none(self):
        for what, lie in {"another protocol": b"HTTP/1.1 400 Bad\r\n\r\n", "an array of 4294967295": b"*4294967295\r\n",
                          "nothing": silent, "closed": close, "a number": b":1\r\n", "null": b"_\r\n",
                          "an error of ours": b"-ERR no\r\n", "a map of nothing": b"%0\r\n",
                          "busy": b"-LOADING Redis is loading the dataset in memory\r\n"}.items():
            with self.subTest(what):
                for name in ("HELLO", "CLIENT", "AUTH"):
                    self.node.lies[name] = lie
                self.node.cut_all()
                reply = self.told("GET", self.fresh_key())
                self.assertTrue(reply is None or isinstance(reply, ReplyError), reply)
                self.heal()

    def test_pushes_that_are_none(self):
        for what, data in {
                "not an array": push(b"invalidate", b"k"), "no key": push(b"invalidate"), "nothing": b">0\r\n",
                "of numbers": push(b"invalidate", [1, 2]), "of arrays": push(b"invalidate", [[b"k"]]),
                "another": push(b"surprise", b"k"), "a map": push({b"a": b"b"}),
                "null": b">2\r\n$10\r\ninvalidate\r\n$-1\r\n", "null array": b">2\r\n$10\r\ninvalidate\r\n*-1\r\n",
                "broken redirection": push(b"tracking-redir-broken"),
                "huge": b">4294967295\r\n", "negative": b">-1\r\n",
                "many": push(b"invalidate", [b"k"]) * 50000}.items():
            with self.subTest(what):
                self.node.push_all(data)
                self.heal()

    def test_a_server_without_commands_is_still_one(self):
        for what, lie in {"a number": b":1\r\n", "an array of numbers": b"*1\r\n:1\r\n", "empty": b"*0\r\n",
                          "huge": b"*4294967295\r\n", "halves": b"*1\r\n*1\r\n$3\r\nget\r\n",
                          "no name": b"*1\r\n*6\r\n:1\r\n:1\r\n*0\r\n:1\r\n:1\r\n:1\r\n"}.items():
            with self.subTest(what):
                self.node.lies["COMMAND"] = lie
                self.node.cut_all()
                self.told("HGET", "h", "f")
                self.heal()


class LiesInResp2(Lies):
    resp = 2
    test_greetings_that_are_none = test_pushes_that_are_none = None  # there are none, and RESP3's are tried first


class Maps(unittest.TestCase):
    """CLUSTER SHARDS and CLUSTER SLOTS that are none."""

    def check(self, node, reply):
        node.lies["CLUSTER SHARDS"] = node.lies["CLUSTER SLOTS"] = reply
        with nuthatch(node.url, "--tier-allow", "127.0.0.1/32") as server, Connection(server.port) as client:
            before = time.monotonic()
            answer = client.ask("GET", "k")
            self.assertLess(time.monotonic() - before, TIER_TIMEOUT_S + PATIENCE_S / 3)
            self.assertTrue(answer is None or isinstance(answer, ReplyError), answer)
            node.lies.clear()
            until(lambda: client.ask("GET", "truth") == b"1", "the truth")

    def test_maps_that_are_none(self):
        for what, reply in {
                "a number": b":1\r\n", "null": b"*-1\r\n", "empty": b"*0\r\n", "huge": b"*4294967295\r\n",
                "of numbers": say([1, 2, 3]), "of nothing": say([[], {}, []]),
                "of strings": say([[b"slots", b"nodes"]]),
                "out of range": shards((0, 99999, b"x", "127.0.0.1", 1)),
                "negative": shards((-5, -1, b"x", "127.0.0.1", 1)), "backwards": shards((9, 3, b"x", "127.0.0.1", 1)),
                "port 0": shards((0, 16383, b"x", "127.0.0.1", 0)),
                "port 70000": shards((0, 16383, b"x", "127.0.0.1", 70000)),
                "a name of bytes": shards((0, 16383, b"x", "\x01\x7f\x00", 1)),
                "a long name": shards((0, 16383, b"x", "h" * 10000, 1)),
                "ten thousand shards": shards(*((0, 16383, b"%d" % n, "127.0.0.1", 1) for n in range(10000))),
                "without an end": endless(b"*1000000000\r\n", b"*0\r\n" * 10000)}.items():
            with self.subTest(what), HostileNode() as node:
                node.values[b"truth"] = b"1"
                self.check(node, reply)

    def test_a_thousand_places_are_not_all_visited_at_once_and_none_that_is_not_allowed(self):
        with HostileNode() as node, HostileNode("127.0.0.2") as forbidden:
            node.values[b"truth"] = b"1"
            self.check(node, shards((0, 16383, b"x", forbidden.host, forbidden.port)))
            node.lies["GET"] = b"-MOVED %d 127.0.0.2:%d\r\n" % (slot_of("k"), forbidden.port)
            with nuthatch(node.url, "--tier-allow", "127.0.0.1/32") as server, Connection(server.port) as client:
                self.assertIsInstance(client.ask("GET", "k"), ReplyError)
                node.lies["GET"] = node.lies["GET"].replace(b"MOVED", b"ASK")
                self.assertIsInstance(client.ask("GET", "k"), ReplyError)
            self.assertEqual(forbidden.accepted, [])
            # The same place, allowed: it is where the reply comes from.
            node.lies["GET"] = b"-MOVED %d 127.0.0.2:%d\r\n" % (slot_of("k"), forbidden.port)
            forbidden.values[b"k"] = b"from there"
            with nuthatch(node.url, "--tier-allow", "127.0.0.0/8") as server, Connection(server.port) as client:
                self.assertEqual(client.ask("GET", "k"), b"from there")

    def test_two_servers_that_send_to_each_other_for_ever(self):
        with HostileNode() as one, HostileNode() as other:
            for here, there in ((one, other), (other, one)):
                for name in ("GET", "SET"):
                    here.lies[name] = lambda node, wire, words, to=there: b"-MOVED %d %s:%d\r\n" % (
                        slot_of(words[1]), to.host.encode(), to.port)
            with nuthatch(one.url) as server, Connection(server.port) as client:
                for command in (("GET", "k"), ("SET", "k", "v")):
                    one.heard.clear(), other.heard.clear()
                    self.assertIsInstance(client.ask(*command), ReplyError)
                    self.assertLess(one.count(command[0]) + other.count(command[0]), 50)


class LinkLocal(unittest.TestCase):
    """In a network namespace of its own, where the address that clouds keep their secrets at is ours."""

    def test_nobody_is_sent_to_a_link_local_address(self):
        if namespaces.run_again_in_one(self, setup=f"ip addr add {LINK_LOCAL}/32 dev lo"):
            return
        with HostileNode() as node, HostileNode(LINK_LOCAL) as secrets:
            secrets.values[b"k"] = b"secret"
            place = b"%s:%d" % (LINK_LOCAL.encode(), secrets.port)
            for name, lie in (("GET", b"-MOVED %d %s\r\n" % (slot_of("k"), place)),
                              ("GET", b"-ASK %d %s\r\n" % (slot_of("k"), place)),
                              ("CLUSTER", shards((0, SLOT_COUNT - 1, b"x", LINK_LOCAL, secrets.port)))):
                node.lies = {name: lie}
                with nuthatch(node.url) as server, Connection(server.port) as client:
                    reply = client.ask("GET", "k")
                    self.assertTrue(reply is None or isinstance(reply, ReplyError), reply)
                    server.wait_for(LINK_LOCAL)  # the log says where it did not go
            self.assertEqual(secrets.accepted, [])


if __name__ == "__main__":
    unittest.main()
