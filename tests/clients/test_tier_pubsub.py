"""Publish and subscribe where channels are a shared cluster's: a client of any node hears what anybody publishes, there
or at another node, in both versions of the protocol; keyspace events of all primaries; shard channels whose slot moves;
a server that dies. The second node speaks RESP2 with the tier."""
import sys
import time
import unittest

from harness import Nuthatch
from redis_cluster import RedisCluster, key_of, slot_of, until
from resp_client import Connection, ReplyError

# A pattern is permitted to be subscribed to only as it is written there.
USER = ("nuthatch", "secret", "~* resetchannels &open* &free* &both* &s1 &s2 &__key* &__keyevent@0__:* &__keyevent@0__:set &__redis__* +@all")


class Subscriber:
    """A client that subscribes; what it is told comes in the form of RESP3's pushes, whichever version it speaks."""

    def __init__(self, port, resp, **login):
        self.resp = resp
        self.connection = Connection(port, resp, **login)

    def next(self, timeout=10):
        told = self.connection.receive_any(timeout)
        if isinstance(told, ReplyError):
            raise told
        return [word.decode() if isinstance(word, bytes) else word for word in told]

    def subscribe(self, command, *names):
        self.connection.send(command, *names)
        return [self.next() for _ in names]

    def silent(self, seconds=0.2):
        try:
            return f"told {self.connection.receive_any(seconds)}"
        except TimeoutError:
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def metric(node, name):
    """Summed over the threads."""
    info = node_info(node)
    return int(info.get(name, 0))


def node_info(node):
    with Connection(node.port) as c:
        lines = c.call("INFO", "everything").decode().split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


class TierPubSub(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = RedisCluster(user=USER, notify_keyspace_events="KEA")
        options = ["--tier", cls.cluster.url.replace("://", "://nuthatch:secret@"), "--threads", "2", "--tier-timeout", "10s"]  # the machine may be busy
        cls.nodes = []
        try:
            cls.nodes.append(Nuthatch("cache", *options))
            cls.nodes.append(Nuthatch("cache", *options, "--tier-resp", "2"))
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        for node in cls.nodes:
            node.__exit__(*sys.exc_info())
        cls.cluster.stop()

    def everywhere(self):
        """A subscriber of each version at each node."""
        return [Subscriber(node.port, resp) for node in self.nodes for resp in (2, 3)]

    def publish(self, channel, text, where=None, command="PUBLISH"):
        with Connection(where or self.nodes[0].port) as c:
            return c.call(command, channel, text)

    # ---- channels and patterns ----

    def test_whoever_publishes_wherever_is_heard_by_all(self):
        subscribers = self.everywhere()
        try:
            for subscriber in subscribers:
                self.assertEqual(subscriber.subscribe("SUBSCRIBE", "open", "open2"), [["subscribe", "open", 1], ["subscribe", "open2", 2]])
                self.assertEqual(subscriber.subscribe("PSUBSCRIBE", "open*"), [["psubscribe", "open*", 3]])
            for number, node in enumerate(self.nodes):
                self.publish("open", f"from {number}", node.port)
            for number, server in enumerate(self.cluster.primaries()):
                server.call("PUBLISH", "open2", f"at {number}")
            for subscriber in subscribers:
                told = [subscriber.next() for _ in range(10)]
                wanted = [["message", "open", f"from {n}"] for n in range(2)] + [["message", "open2", f"at {n}"] for n in range(3)]
                wanted += [["pmessage", "open*", *message[1:]] for message in wanted]
                self.assertEqual(sorted(told), sorted(wanted))
                self.assertIsNone(subscriber.silent(0.02))
        finally:
            for subscriber in subscribers:
                subscriber.__exit__()

    def test_what_is_published_after_the_confirmation_is_heard(self):
        for round in range(40):
            with Subscriber(self.nodes[round % 2].port, 2 + round // 2 % 2) as subscriber:
                subscriber.subscribe("SUBSCRIBE", f"open:{round}")
                self.cluster.nodes[round % 3].call("PUBLISH", f"open:{round}", "hi")
                self.assertEqual(subscriber.next(), ["message", f"open:{round}", "hi"])

    def test_messages_of_one_publisher_come_in_order_and_once(self):
        with Subscriber(self.nodes[0].port, 3) as subscriber, Connection(self.nodes[1].port) as publisher:
            subscriber.subscribe("SUBSCRIBE", "open")
            publisher.pipeline([["PUBLISH", "open", number] for number in range(500)])
            self.assertEqual([subscriber.next()[2] for _ in range(500)], [str(number) for number in range(500)])

    def test_many_channels_in_one_command(self):
        names = [f"open:{number}" for number in range(1000)]
        with Subscriber(self.nodes[1].port, 3) as subscriber:
            told = subscriber.subscribe("SUBSCRIBE", *names)
            self.assertEqual(told, [["subscribe", name, number + 1] for number, name in enumerate(names)])
            for name in names[::100]:
                self.publish(name, name)
            self.assertEqual(sorted(subscriber.next()[2] for _ in names[::100]), sorted(names[::100]))

    def test_who_has_left_hears_nothing_and_the_tier_is_left_too(self):
        with Subscriber(self.nodes[0].port, 2) as stays, Subscriber(self.nodes[0].port, 3) as leaves:
            for subscriber in (stays, leaves):
                subscriber.subscribe("SUBSCRIBE", "free")
            self.assertEqual(leaves.subscribe("UNSUBSCRIBE", "free"), [["unsubscribe", "free", 0]])
            self.publish("free", "1")
            self.assertEqual(stays.next(), ["message", "free", "1"])
            self.assertIsNone(leaves.silent())
            stays.connection.send("UNSUBSCRIBE")
            self.assertEqual(stays.next(), ["unsubscribe", "free", 0])
            until(lambda: not any(b"free" in server.call("PUBSUB", "CHANNELS") for server in self.cluster.primaries()), "no subscription")
            stays.subscribe("SUBSCRIBE", "free")
            self.publish("free", "2")
            self.assertEqual(stays.next(), ["message", "free", "2"])
            stays.connection.send("RESET")
            self.assertEqual(stays.connection.receive_any(), "RESET")
            until(lambda: not any(b"free" in server.call("PUBSUB", "CHANNELS") for server in self.cluster.primaries()), "no subscription")

    def test_a_resp2_subscriber_may_do_little_else_and_a_resp3_one_everything(self):
        with Subscriber(self.nodes[0].port, 2) as two, Subscriber(self.nodes[0].port, 3) as three:
            for subscriber in (two, three):
                subscriber.subscribe("SUBSCRIBE", "open")
            self.assertIn("only (P|S)SUBSCRIBE", str(two.connection.ask("GET", "k")))
            self.assertEqual(two.connection.ask("PING"), [b"pong", b""])
            self.assertEqual(three.connection.ask("SET", "k", "v"), "OK")
            self.assertEqual(three.connection.ask("GET", "k"), b"v")
            self.assertIn("transaction", str(three.connection.ask("MULTI") and three.connection.ask("SUBSCRIBE", "open2")))
            three.connection.ask("DISCARD")
            # A message does not come before answers to what was asked before the subscription.
            three.connection.send_all([["GET", "k"], ["SUBSCRIBE", "open3"], ["GET", "k"], ["UNSUBSCRIBE", "open3"], ["PING"]])
            told = [three.connection.receive_any() for _ in range(5)]
            self.assertEqual(told, [b"v", [b"subscribe", b"open3", 2], b"v", [b"unsubscribe", b"open3", 1], "PONG"])

    def test_silence_is_about_answers(self):
        with Subscriber(self.nodes[0].port, 3) as subscriber:
            subscriber.connection.send("CLIENT", "REPLY", "OFF")
            self.assertEqual(subscriber.subscribe("SUBSCRIBE", "open"), [["subscribe", "open", 1]])
            self.publish("open", "1")
            self.assertEqual(subscriber.next(), ["message", "open", "1"])

    # ---- keyspace events ----

    def test_keyspace_events_of_all_primaries_are_heard_once(self):
        keys = [key_of(slot) for slot in (1, 6000, 12000)]  # a primary each
        with Subscriber(self.nodes[0].port, 3) as events, Subscriber(self.nodes[1].port, 2) as keyspace, \
                Connection(self.nodes[0].port) as client:
            events.subscribe("PSUBSCRIBE", "__keyevent@0__:*")
            keyspace.subscribe("SUBSCRIBE", *[f"__keyspace@0__:{key}" for key in keys])
            for key in keys:
                client.call("SET", key, "v")
            told = sorted(events.next() for _ in keys)
            self.assertEqual(told, sorted(["pmessage", "__keyevent@0__:*", "__keyevent@0__:set", key] for key in keys))
            self.assertEqual(sorted(keyspace.next() for _ in keys), sorted(["message", f"__keyspace@0__:{key}", "set"] for key in keys))
            self.assertIsNone(events.silent())
            self.assertIsNone(keyspace.silent(0.02))

    # ---- PUBSUB ----

    def test_pubsub_is_of_all_servers(self):
        subscribers = self.everywhere()
        try:
            for subscriber in subscribers:
                subscriber.subscribe("SUBSCRIBE", "open:count", "__keyevent@0__:none")
                subscriber.subscribe("SSUBSCRIBE", "s1", "s2")
            with Connection(self.nodes[0].port) as c:
                self.assertEqual(c.call("PUBSUB", "CHANNELS", "open:c*"), [b"open:count"])
                self.assertEqual(c.call("PUBSUB", "CHANNELS", "__keyevent*"), [b"__keyevent@0__:none"])  # at each primary
                self.assertEqual(c.call("PUBSUB", "SHARDCHANNELS"), [b"s1", b"s2"])
                first, count, second, none = c.call("PUBSUB", "NUMSUB", "open:count", "absent")
                self.assertEqual([first, second, none], [b"open:count", b"absent", 0])
                self.assertIn(count, (2, 3, 4))  # a thread each
                self.assertGreater(c.call("PUBSUB", "SHARDNUMSUB", "s1")[1], 0)
                self.assertEqual(c.call("PUBSUB", "NUMSUB"), [])
                self.assertIsInstance(c.call("PUBSUB", "NUMPAT"), int)
                self.assertIn("unknown subcommand", str(c.ask("PUBSUB", "NOSUCH")).lower())
                self.assertEqual(c.ask("CONFIG", "SET", "notify-keyspace-events", "KEA").code, "ERR")
        finally:
            for subscriber in subscribers:
                subscriber.__exit__()

    # ---- permissions ----

    def test_a_clients_channels_are_checked_here_and_ours_by_the_tier(self):
        with Connection(self.nodes[0].port) as admin:
            admin.call("ACL", "SETUSER", "narrow", "on", ">pw", "+@all", "~*", "&open:*")
        with Subscriber(self.nodes[0].port, 3, user="narrow", password="pw") as subscriber:
            self.assertEqual(subscriber.connection.ask("SUBSCRIBE", "free").code, "NOPERM")
            self.assertEqual(subscriber.connection.ask("PSUBSCRIBE", "open*").code, "NOPERM")
            self.assertEqual(subscriber.subscribe("SUBSCRIBE", "open:1"), [["subscribe", "open:1", 1]])
        with Subscriber(self.nodes[0].port, 3) as subscriber:
            begin = time.monotonic()
            error = subscriber.connection.ask("SUBSCRIBE", "open", "secret", "open2")
            self.assertEqual(error.code, "NOPERM")
            self.assertIn("shared tier", str(error))
            self.assertLess(time.monotonic() - begin, 5)
            # None of the three; and the others are to be had.
            self.assertEqual(subscriber.subscribe("SUBSCRIBE", "open2"), [["subscribe", "open2", 1]])

    # ---- shard channels ----

    def test_a_shard_channel_is_heard_and_goes_where_its_slot_goes(self):
        with Subscriber(self.nodes[0].port, 3) as first, Subscriber(self.nodes[1].port, 2) as second:
            for subscriber in (first, second):
                self.assertEqual(subscriber.subscribe("SSUBSCRIBE", "s1", "s2"), [["ssubscribe", "s1", 1], ["ssubscribe", "s2", 2]])
            self.assertEqual(self.publish("s1", "1", command="SPUBLISH"), 2)
            for subscriber in (first, second):
                self.assertEqual(subscriber.next(), ["smessage", "s1", "1"])
            source = self.cluster.owner("s1")
            target = self.cluster.migrate(slot_of("s1"))
            self.assertIsNot(source, target)
            until(lambda: target.call("PUBSUB", "SHARDNUMSUB", "s1") == [b"s1", 2], "a subscription at the new owner")
            self.assertEqual(self.publish("s1", "2", command="SPUBLISH"), 2)
            for subscriber in (first, second):
                self.assertEqual(subscriber.next(), ["smessage", "s1", "2"])
            with Subscriber(self.nodes[0].port, 2) as late:
                late.subscribe("SSUBSCRIBE", "s1")
                self.publish("s1", "3", command="SPUBLISH")
                self.assertEqual([s.next() for s in (first, second, late)], [["smessage", "s1", "3"]] * 3)
            for subscriber in (first, second):
                self.assertEqual(subscriber.subscribe("SUNSUBSCRIBE", "s1"), [["sunsubscribe", "s1", 1]])
            until(lambda: target.call("PUBSUB", "SHARDNUMSUB", "s1") == [b"s1", 0], "no subscription")

    # ---- servers that go (last) ----

    def test_z_connections_that_are_cut_are_made_anew_and_counted(self):
        with Subscriber(self.nodes[0].port, 3) as first, Subscriber(self.nodes[1].port, 2) as second:
            for subscriber in (first, second):
                subscriber.subscribe("SUBSCRIBE", "both", "both2")
            before = [metric(node, "tier_subscriptions_lost") for node in self.nodes]
            self.assertGreater(sum(server.cut_clients("pubsub", "nuthatch") for server in self.cluster.primaries()), 0)
            self.hears_again("both", first, second)
            for node, count in zip(self.nodes, before):
                self.assertGreater(metric(node, "tier_subscriptions_lost"), count)

    def hears_again(self, channel, *subscribers):
        """Messages are missed until the subscriptions stand again: so it is published until all have heard."""
        waiting, number = list(subscribers), 0
        end = time.monotonic() + 20
        while waiting:
            self.assertLess(time.monotonic(), end, "not heard")
            try:
                self.publish(channel, number)
            except ReplyError:
                pass
            number += 1
            waiting = [subscriber for subscriber in waiting if subscriber.silent(0.05) is None]

    def test_zz_a_server_dies(self):
        keys = [key_of(slot, 1) for slot in (1, 6000, 12000)]
        with Subscriber(self.nodes[0].port, 3) as first, Subscriber(self.nodes[1].port, 2) as second, \
                Subscriber(self.nodes[0].port, 3) as shard, Subscriber(self.nodes[0].port, 3) as events:
            for subscriber in (first, second):
                subscriber.subscribe("SUBSCRIBE", "both")
            shard.subscribe("SSUBSCRIBE", "s2")
            events.subscribe("PSUBSCRIBE", "__keyevent@0__:set")
            victim = self.cluster.owner("s2")
            self.cluster.kill(victim)
            self.hears_again("both", first, second)
            self.cluster.wait_for_failover(victim)
            owner = self.cluster.owner("s2")
            until(lambda: owner.call("PUBSUB", "SHARDNUMSUB", "s2") == [b"s2", 1], "a subscription at the new owner")
            until(lambda: self.publish_if_possible("s2", "1", "SPUBLISH"), "a node that knows the new owner")
            self.assertEqual(shard.next(), ["smessage", "s2", "1"])
            until(lambda: all(b"__keyevent@0__:set" in self.patterns(server) for server in self.cluster.primaries()), "all primaries")
            for server in self.cluster.primaries():
                server.ask("SET", next(key for key in keys if self.cluster.owner(key) is server), "v")
            self.assertEqual(sorted(events.next()[3] for _ in keys), sorted(keys))
            with Subscriber(self.nodes[1].port, 3) as new:
                self.assertEqual(new.subscribe("SUBSCRIBE", "open"), [["subscribe", "open", 1]])

    def publish_if_possible(self, *arguments):
        try:
            return self.publish(*arguments[:2], command=arguments[2]) is not None
        except ReplyError:
            return False

    @staticmethod
    def patterns(server):
        """Whether any client of that server has a pattern."""
        return b"__keyevent@0__:set" if any(int(c["psub"]) > 0 for c in server.clients("pubsub")) else b""


if __name__ == "__main__":
    unittest.main(verbosity=2)
