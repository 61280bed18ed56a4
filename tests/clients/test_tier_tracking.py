"""What is near never outlives the bound, whatever happens to the connections that tell of changes: each way of losing
them, against a real cluster, in RESP3 and in RESP2. (Chance finds more: test_tier_chaos.py.)"""
import threading
import time
import unittest

from harness import Nuthatch
from redis_cluster import RedisCluster, RedisServers, key_of, slot_of, until
from resp_client import Connection, ReplyError
from tcp_proxy import TO_CLIENT, TO_SERVER

BOUND_S = 0.4
SLACK_S = 0.25  # a machine that is busy, the loop's turns
TIER_TIMEOUT_S = 1
HEALING_S = 10


def nuthatch(servers, resp, *options):
    return Nuthatch("cache", "--tier", servers.url, "--tier-resp", str(resp),
                    "--max-staleness", f"{int(BOUND_S * 1000)}ms", "--tier-timeout", f"{TIER_TIMEOUT_S}s",
                    "--threads", "2", "--memory", "64M", *options)


def asked(servers):
    """How many GETs the tier has run."""
    count = 0
    for node in servers.running:
        text = node.info("commandstats").get("cmdstat_get", "calls=0,")
        count += int(text.split(",")[0].split("=")[1])
    return count


def fenced(client, key):
    reply = client.call("NH.GET", key, "FENCED")
    return dict(zip(reply[::2], reply[1::2]))[b"value"]


class Reader(threading.Thread):
    """Reads `key` all the time; knows which values were read when."""

    def __init__(self, port, key):
        super().__init__(daemon=True)
        self.port, self.key = port, key
        self.stopping = threading.Event()
        self.reads = []  # (when it was asked, when answered, value)
        self.start()

    def run(self):
        connection = Connection(self.port, timeout=30)
        while not self.stopping.is_set():
            began = time.monotonic()
            value = connection.ask("GET", self.key)
            if not isinstance(value, ReplyError):
                self.reads.append((began, time.monotonic(), value))
            time.sleep(0.002)
        connection.close()

    def stop(self):
        self.stopping.set()
        self.join(30)
        assert not self.is_alive()


class WithServers:
    resp = 3

    @classmethod
    def setUpClass(cls):
        cls.servers = cls.make_servers()
        try:
            cls.nodes = [nuthatch(cls.servers, cls.resp) for _ in range(2)]
            cls.clients = [Connection(node.port) for node in cls.nodes]
            for client in cls.clients:
                until(lambda c=client: c.ask("SET", "ready", "1") == "OK", "the tier")
        except BaseException:
            cls.servers.stop()
            raise
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        try:
            for client, node in zip(cls.clients, cls.nodes):
                client.close()
                assert node.stop() == 0, node.log
        finally:
            cls.servers.stop()

    def setUp(self):
        self.servers.wait_until_ok()
        self.a, self.b = self.clients
        for client in self.clients:  # whatever went before, it has healed
            until(lambda c=client: all(c.ask("SET", key_of(n * 3000), "1") == "OK" for n in range(6)), "the tier")

    def fresh_key(self):
        type(self).count += 1
        return f"key{self.count}"

    def make_near(self, key, value):
        """`value` (a string, or None) is the key's, and near at the first node."""
        owner = self.servers.owner(key)
        owner.call(*(("DEL", key) if value is None else ("SET", key, value)))
        expected = None if value is None else value.encode()
        until(lambda: self.a.ask("GET", key) == expected, "the value")
        before = asked(self.servers)

        def is_near():
            nonlocal before
            answers = [self.a.ask("GET", key) for _ in range(20)]
            now = asked(self.servers)
            is_so, before = now - before < 20 and answers == [expected] * 20, now
            return is_so
        until(is_near, f"{key} to be near")

    def write(self, key, value, patience_s=20):
        """At the cluster, by whoever has the key; returns when it was acknowledged."""
        def is_written():
            try:
                reply = self.servers.owner(key).ask("SET", key, value)
            except (OSError, AssertionError):
                return False
            return reply == "OK"
        until(is_written, "a write", patience_s)
        return time.monotonic()

    def assert_never_stale(self, event, old="old", new="new"):
        """`old` is near; `event(key)` happens and then, or in it, the key is written: its time is returned by it, or it
        is written behind it."""
        key = self.fresh_key()
        self.make_near(key, old)
        reader = Reader(self.nodes[0].port, key)
        try:
            written = event(key) or self.write(key, new)
            until(lambda: reader.reads and reader.reads[-1][2] == new.encode(), "the new value", BOUND_S + HEALING_S)
        finally:
            reader.stop()
        expected_old = None if old is None else old.encode()
        late = [began - written for began, _, value in reader.reads
                if value != new.encode() and began > written + BOUND_S + SLACK_S]
        self.assertEqual(late, [], f"{len(late)} stale reads, {late[:3]} s after the write")
        self.assertLessEqual({value for _, _, value in reader.reads}, {expected_old, new.encode(), None})

    # ---- what is told ----

    def test_a_write_elsewhere_is_told(self):
        self.assert_never_stale(lambda key: None)

    def test_a_missing_key_is_near_and_its_coming_is_told(self):
        self.assert_never_stale(lambda key: None, old=None)

    def test_ways_of_changing_a_key(self):
        for command in (("DEL", "KEY"), ("UNLINK", "KEY"), ("PEXPIRE", "KEY", "0"), ("APPEND", "KEY", "!"),
                        ("RENAME", "KEY", "KEY:other"), ("GETDEL", "KEY"), ("SETRANGE", "KEY", "0", "x"),
                        ("EVAL", "return redis.call('SET', 'KEY', 'by a script')", "1", "KEY")):
            with self.subTest(command[0]):
                key = "{" + self.fresh_key() + "}"
                self.make_near(key, "old")
                words = [word.replace("KEY", key) for word in command]
                self.assertNotIsInstance(self.servers.owner(key).ask(*words), ReplyError)
                expected = self.servers.owner(key).ask("GET", key)
                self.assertNotEqual(expected, b"old")
                before = time.monotonic()
                until(lambda key=key, expected=expected: self.a.ask("GET", key) == expected, "the change",
                      BOUND_S + SLACK_S)
                self.assertLess(time.monotonic() - before, BOUND_S + SLACK_S)

    def test_what_expires_is_not_given_any_more(self):
        key = self.fresh_key()
        self.servers.owner(key).call("SET", key, "short", "PX", 300)
        end = time.monotonic() + 0.3
        while self.a.ask("GET", key) is not None:
            self.assertLess(time.monotonic(), end + SLACK_S)

    def test_a_client_reads_what_it_wrote_and_a_fence_reads_what_anybody_wrote(self):
        key = self.fresh_key()
        for number in range(100):
            value = str(number)
            self.a.call("SET", key, value)
            self.assertEqual(self.a.call("GET", key), value.encode())
            self.assertEqual(fenced(self.b, key), value.encode())
            self.servers.owner(key).call("SET", key, value + "!")
            self.assertEqual(fenced(self.a, key), value.encode() + b"!")

    def test_a_key_of_another_type_is_never_near(self):
        key = self.fresh_key()
        self.servers.owner(key).call("HSET", key, "f", "1")
        for _ in range(3):
            self.assertEqual(self.a.ask("GET", key).code, "WRONGTYPE")
        self.servers.owner(key).call("DEL", key)
        self.servers.owner(key).call("SET", key, "v")
        until(lambda: self.a.ask("GET", key) == b"v", "the string", BOUND_S + SLACK_S)

    # ---- what is lost ----

    def test_connections_of_data_are_cut(self):
        self.assert_never_stale(lambda key: self.servers.owner(key).cut_clients("normal") and None)

    def test_receivers_are_cut(self):
        self.assert_never_stale(lambda key: self.servers.owner(key).cut_clients("pubsub") and None)

    def test_everything_is_flushed(self):
        for command in ("FLUSHALL", "FLUSHDB", "FLUSHALL"):
            with self.subTest(command):
                key = self.fresh_key()
                self.make_near(key, "old")
                self.servers.owner(key).call(command)
                until(lambda key=key: self.a.ask("GET", key) is None, "the end of it", BOUND_S + SLACK_S)

    def test_the_table_of_what_is_tracked_overflows(self):
        for node in self.servers.running:
            node.call("CONFIG", "SET", "tracking-table-max-keys", 1)
        try:
            keys = [self.fresh_key() for _ in range(100)]
            for key in keys:
                self.servers.owner(key).call("SET", key, "old")
            self.assertEqual([self.a.ask("GET", key) for key in keys], [b"old"] * len(keys))
            written = [self.write(key, "new") for key in keys][-1]
            time.sleep(max(0, written + BOUND_S + SLACK_S - time.monotonic()))
            self.assertEqual([self.a.ask("GET", key) for key in keys], [b"new"] * len(keys))
        finally:
            for node in self.servers.running:
                node.call("CONFIG", "SET", "tracking-table-max-keys", 1000000)


class WithCluster(WithServers):
    @classmethod
    def make_servers(cls):
        return RedisCluster(proxied=True)

    # ---- cables ----

    def held(self, *ways):
        def event(key):
            proxy = self.servers.owner(key).proxy
            self.addCleanup(proxy.let_go)
            proxy.hold(*ways)
            written = self.write(key, "new")
            time.sleep(BOUND_S + SLACK_S + 0.2)
            proxy.let_go()
            return written
        self.assert_never_stale(event)

    def test_nothing_passes_any_more(self):
        self.held()

    def test_nothing_comes_any_more(self):
        self.held(TO_CLIENT)

    def test_nothing_goes_any_more(self):
        self.held(TO_SERVER)

    def test_everything_comes_late(self):
        def event(key):
            proxy = self.servers.owner(key).proxy
            self.addCleanup(proxy.delay, 0)
            proxy.delay(0.15)
            time.sleep(0.5)
            written = self.write(key, "new")
            time.sleep(1)
            proxy.delay(0)
            return written
        self.assert_never_stale(event)

    # ---- slots ----

    def test_a_slot_moves_with_a_value_that_is_near(self):
        self.assert_never_stale(lambda key: self.servers.migrate(slot_of(key)) and None)

    def test_a_slot_moves_with_a_missing_key_that_is_near(self):
        self.assert_never_stale(lambda key: self.servers.migrate(slot_of(key)) and None, old=None)

    def test_a_slot_moves_and_comes_back_with_a_missing_key_that_is_near(self):
        def event(key):
            source = self.servers.owner(key)
            self.servers.migrate(slot_of(key))
            written = self.write(key, "new")
            self.servers.migrate(slot_of(key), source)
            return written
        self.assert_never_stale(event, old=None)

    def test_a_slot_is_on_its_way(self):
        """What is read by ASK is right, and not near for longer than the bound."""
        slot = slot_of("{way}")
        source = self.servers.owner(slot)
        target = self.servers.another_primary(source)
        source.call("SET", "{way}1", "old")
        self.servers.begin_migration(slot, target)
        self.servers.move_keys(slot)
        self.assertEqual(self.a.ask("GET", "{way}1"), b"old")
        self.assertEqual(self.a.ask("SET", "{way}2", "2"), "OK")
        self.assertEqual(self.b.ask("MGET", "{way}2", "{way}1"), [b"2", b"old"])
        with target.connect() as c:
            self.assertEqual(c.pipeline([("ASKING",), ("SET", "{way}1", "new")]), ["OK", "OK"])
        until(lambda: self.a.ask("GET", "{way}1") == b"new", "the new value", BOUND_S + SLACK_S)
        self.servers.finish_migration(slot)
        self.assertEqual(self.a.ask("GET", "{way}1"), b"new")

    # ---- primaries ----

    def test_a_replica_takes_over_by_hand(self):
        self.assert_never_stale(lambda key: self.servers.failover(self.servers.owner(key)) and None)

    def test_a_primary_dies(self):
        def event(key):
            node = self.servers.owner(key)
            self.addCleanup(node.restart)
            self.servers.kill(node)
            self.servers.wait_for_failover(node)
        self.assert_never_stale(event)

    def test_a_primary_is_stopped_and_wakes_up(self):
        def event(key):
            node = self.servers.owner(key)
            self.addCleanup(node.thaw)
            node.freeze()
            self.servers.wait_for_failover(node)
            written = self.write(key, "new")
            time.sleep(BOUND_S + SLACK_S)
            return written
        self.assert_never_stale(event)

    def test_a_primary_is_alone_with_its_clients(self):
        """It still answers PING, and then no key."""
        def event(key):
            node = self.servers.owner(key)
            self.addCleanup(self.servers.rejoin, node)
            self.servers.isolate(node)
            self.servers.wait_for_failover(node)
            replica = next(other for other in self.servers.running if other is not node and any(
                first <= slot_of(key) <= last and owner is other for first, last, owner in self.servers.map_of(other)))
            until(lambda: replica.ask("SET", key, "new") == "OK", "a write")
            written = time.monotonic()
            time.sleep(BOUND_S + SLACK_S)
            self.servers.rejoin(node)
            return written
        self.assert_never_stale(event)


class InResp3(WithCluster, unittest.TestCase):
    resp = 3


class InResp2(WithCluster, unittest.TestCase):
    resp = 2


class WithoutACluster(WithServers, unittest.TestCase):
    """One primary, and a replica that may be promoted."""

    @classmethod
    def make_servers(cls):
        servers = RedisServers()
        servers.owner = lambda key: servers.primaries()[0]
        return servers


class Secured(unittest.TestCase):
    def test_tls_and_a_user_of_its_own(self):
        rights = "~* &* +@all -@dangerous +client|tracking +info +flushall"
        with RedisCluster(replica_count=0, tls=True, user=("nuthatch", "secret", rights)) as cluster:
            password = f"{cluster.folder}/password"
            with open(password, "w") as file:
                file.write("secret\n")
            options = ("--tier-user", "nuthatch", "--tier-password-file", password, "--tier-ca", cluster.tls_ca)
            with nuthatch(cluster, 3, *options) as node, Connection(node.port) as client:
                until(lambda: client.ask("SET", "k", "1") == "OK", "the tier")
                self.assertEqual(client.call("GET", "k"), b"1")
                cluster.owner("k").call("SET", "k", "2")
                until(lambda: client.ask("GET", "k") == b"2", "the change", BOUND_S + SLACK_S)


if __name__ == "__main__":
    unittest.main()
