"""The cluster that other tests put nuthatch in front of does what they rely on."""
import os
import subprocess
import sys
import unittest

from redis_cluster import RedisCluster, RedisServers, key_of, slot_of, until
from resp_client import Connection, Push, ReplyError


class Slots(unittest.TestCase):
    def test_a_slot_is_the_crc_of_the_key_or_of_its_tag(self):
        self.assertEqual([slot_of(key) for key in ("foo", b"bar", "123456789", "", "x{user1000}")],
                         [12182, 5061, 12739, 0, slot_of("user1000")])
        self.assertNotEqual(slot_of("{}foo"), slot_of("{}bar"))
        self.assertEqual(slot_of(key_of(7)), 7)
        self.assertNotEqual(key_of(7), key_of(7, 1))


class InCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = RedisCluster()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop()

    def test_a_slot_moves_in_steps(self):
        cluster = self.cluster
        slot = slot_of("{moves}")
        source = cluster.owner(slot)
        target = cluster.another_primary(source)
        for n in range(3):
            source.call("SET", f"{{moves}}{n}", n)
        cluster.begin_migration(slot, target)
        self.assertEqual(cluster.move_keys(slot, 2), 2)
        left = source.call("CLUSTER", "GETKEYSINSLOT", slot, 10)
        self.assertEqual(len(left), 1)
        gone = next(f"{{moves}}{n}" for n in range(3) if f"{{moves}}{n}".encode() not in left)
        self.assertEqual(source.ask("GET", gone).code, "ASK")
        self.assertEqual(source.ask("MGET", gone, left[0]).code, "TRYAGAIN")
        self.assertEqual(target.ask("GET", gone).code, "MOVED")
        cluster.move_keys(slot)
        cluster.finish_migration(slot)
        self.assertEqual(source.ask("GET", gone).code, "MOVED")
        self.assertEqual(cluster.owner(slot), target)
        cluster.wait_until_ok()

    def test_a_replica_takes_over_by_hand_and_when_its_primary_dies_or_is_cut_off(self):
        cluster = self.cluster
        cluster.wait_until_ok()
        primary = cluster.owner("k")
        replica = cluster.failover(primary)
        cluster.wait_until_ok()
        self.assertEqual(cluster.owner("k"), replica)
        cluster.kill(replica)
        cluster.wait_for_failover(replica)
        cluster.wait_until_ok()
        self.assertEqual(cluster.owner("k"), primary)
        replica.restart()
        cluster.wait_until_ok()
        self.assertEqual(cluster.replicas_of(primary), [replica])
        primary.freeze()
        cluster.wait_for_failover(primary)
        self.assertEqual(cluster.owner("k"), replica)
        primary.thaw()
        cluster.wait_until_ok()

    def test_connections_are_cut_by_kind_and_pushes_are_seen(self):
        node = self.cluster.owner("p")
        with node.connect(3) as data, node.connect() as receiver:
            data.call("CLIENT", "TRACKING", "ON")
            data.call("CLIENT", "SETNAME", "of-data")
            receiver.call("SUBSCRIBE", "__redis__:invalidate")
            data.call("GET", "p")
            node.call("SET", "p", "1")
            self.assertEqual(data.receive_push(), Push([b"invalidate", [b"p"]]))
            self.assertEqual(node.cut_clients("pubsub"), 1)
            with self.assertRaises(ConnectionError):
                receiver.receive()
            self.assertEqual(node.cut_clients(name="other"), 0)
            self.assertEqual(data.call("GET", "p"), b"1")
            self.assertGreaterEqual(node.cut_clients("normal"), 1)
            with self.assertRaises(ConnectionError):
                data.call("PING")


class Others(unittest.TestCase):
    def test_with_tls_and_one_user(self):
        with RedisCluster(replica_count=0, tls=True, user=("app", "secret", "~app:* +get +set")) as cluster:
            node = cluster.owner("app:1")
            with node.connect(user="app", password="secret") as app:
                self.assertEqual(app.call("SET", "app:1", "1"), "OK")
                self.assertEqual(app.ask("DEL", "app:1").code, "NOPERM")
            slot = slot_of("app:1")
            self.assertEqual(cluster.migrate(slot).ask("GET", "app:1"), b"1")
            with self.assertRaises(ReplyError):
                node.connect(user="default", password="x")

    def test_a_node_that_is_cut_off_from_the_others_only_is_found_out_by_its_keys(self):
        with RedisCluster(proxied=True) as cluster:
            node = cluster.owner("k")
            with Connection(node.public_port) as client:
                self.assertEqual(client.call("SET", "k", "1"), "OK")
                cluster.isolate(node)
                cluster.wait_for_failover(node)
                self.assertEqual(client.call("PING"), "PONG")  # which is why PING is no canary
                self.assertEqual(client.ask("GET", "k").code, "CLUSTERDOWN")
                cluster.rejoin(node)
                cluster.wait_until_ok()
                self.assertEqual(client.ask("GET", "k").code, "MOVED")

    def test_a_primary_and_its_replica_without_a_cluster(self):
        with RedisServers() as servers:
            primary, replica = servers.nodes
            with replica.connect(3) as c:
                c.call("CLIENT", "TRACKING", "ON")
                c.call("GET", "k")
                servers.resync(replica)
                self.assertEqual(c.receive_push(), Push([b"invalidate", None]))
            servers.promote(replica)
            self.assertEqual(servers.primaries(), [replica])
            self.assertFalse(primary.is_primary)

    def test_servers_die_with_the_test(self):
        code = ("from redis_cluster import RedisServers; import os; s = RedisServers(0);"
                "print(s.nodes[0].pid, s.folder, flush=True); os.kill(os.getpid(), 9)")
        run = subprocess.run([sys.executable, "-c", code], cwd=os.path.dirname(os.path.abspath(__file__)),
                             capture_output=True, text=True)
        pid, folder = run.stdout.split()
        subprocess.run(["rm", "-rf", folder], check=True)

        def gone():
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
            except OSError:
                return True
        until(gone, "the end of its server")


if __name__ == "__main__":
    unittest.main()
