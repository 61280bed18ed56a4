"""A primary of the shared tier in a network namespace of its own, cut off there while the nodes and the rest of the
cluster go on."""
import contextlib
import time
import unittest

import namespaces
from redis_cluster import NODE_TIMEOUT_MS, RedisCluster, key_of, until
from resp_client import Connection
from test_tier_tracking import BOUND_S, HEALING_S, SLACK_S, TIER_TIMEOUT_S, Reader, nuthatch

KEYS = [key_of(slot) for slot in range(1000, 16384, 3000)]  # some of each primary


class CutOff(unittest.TestCase):
    def test_a_primary_whose_cable_is_pulled_and_one_that_no_route_leads_to(self):
        if namespaces.run_again_in_one(self, trial=namespaces.MACHINES_CAN_BE_MADE):
            return
        with namespaces.Machine("10.99.0.2") as machine, contextlib.ExitStack() as stack:
            self.cluster = stack.enter_context(RedisCluster(host=namespaces.OURS, elsewhere={"primary0": machine},
                                                            cluster_require_full_coverage="no"))
            self.lone = self.cluster.nodes[0]
            nodes = [stack.enter_context(nuthatch(self.cluster, resp)) for resp in (3, 2)]
            self.clients = [stack.enter_context(Connection(node.port)) for node in nodes]
            for what, cut, heal in (("cable", machine.pull_cable, machine.plug_cable),
                                    ("route", machine.blackhole, machine.route)):
                with self.subTest(what):
                    self.make_primary()
                    for client in self.clients:
                        until(lambda c=client: all(c.ask("SET", key, what) == "OK" for key in KEYS), "the tier")
                    self.cut_off([node.port for node in nodes], cut, heal)
            for node in nodes:
                self.assertNotIn("system call failed", node.log)  # it is said that nobody can be reached

    def make_primary(self):
        """The lone one, again."""
        self.cluster.wait_until_ok()
        if not self.lone.is_primary:
            port = int(self.lone.info("replication")["master_port"])
            self.cluster.failover(next(node for node in self.cluster.nodes if node.port == port))
            self.cluster.wait_until_ok()

    def cut_off(self, ports, cut, heal):
        key = next(key for key in KEYS if self.cluster.owner(key) is self.lone)
        elsewhere = next(key for key in KEYS if self.cluster.owner(key) is not self.lone)
        self.lone.call("SET", key, "old")
        self.assertEqual(self.lone.call("WAIT", 1, 5000), 1)
        self.cluster.owner(elsewhere).call("SET", elsewhere, "there")
        readers = [Reader(port, key) for port in ports]
        others = [Reader(port, elsewhere) for port in ports]
        try:
            for reader in readers + others:
                until(lambda r=reader: r.reads and r.reads[-1][2] in (b"old", b"there"), "a value that is near")
            time.sleep(BOUND_S)
            cut()
            cut_at = time.monotonic()
            self.lone.is_frozen = True  # to the tests: it is not to be asked
            self.cluster.wait_for_failover(self.lone)
            taken_over = time.monotonic()
            until(lambda: self.cluster.owner(key).ask("SET", key, "new") == "OK", "a write")
            written = time.monotonic()
            for reader in readers:
                until(lambda r=reader: r.reads[-1][2] == b"new", "the new value", BOUND_S + HEALING_S)
            time.sleep(BOUND_S)
            heal()
            self.lone.is_frozen = False
            self.cluster.wait_until_ok()
            time.sleep(BOUND_S + SLACK_S)
        finally:
            for reader in readers + others:
                reader.stop()
            heal_quietly(heal)
            self.lone.is_frozen = False
        for reader in readers:
            self.assertLessEqual({value for _, _, value in reader.reads}, {b"old", b"new"})
            # Nobody vouches for what is near of it any more, and nobody else has its slots yet.
            unvouched = [began - cut_at for began, returned, _ in reader.reads if cut_at + BOUND_S + SLACK_S < began and
                         returned < cut_at + NODE_TIMEOUT_MS / 1000 - SLACK_S]
            self.assertEqual(unvouched, [], "answered, so long after the cut")
            late = [began - written for began, _, value in reader.reads
                    if value == b"old" and began > written + BOUND_S + SLACK_S]
            self.assertEqual(late, [], "stale, so long after the write")
            self.assertEqual(reader.reads[-1][2], b"new")
        for reader in others:  # what is elsewhere is answered all the time
            self.assertEqual({value for _, _, value in reader.reads}, {b"there"})
            meanwhile = [returned for _, returned, _ in reader.reads if cut_at < returned < taken_over]
            gaps = [after - before for before, after in zip([cut_at, *meanwhile], [*meanwhile, taken_over])]
            self.assertLess(max(gaps), TIER_TIMEOUT_S)
        for client in self.clients:
            for one in KEYS:
                until(lambda c=client, k=one: c.ask("SET", k, "healed") == "OK", "what was cut off", HEALING_S)
                self.assertEqual(client.ask("GET", one), b"healed")


def heal_quietly(heal):
    with contextlib.suppress(Exception):
        heal()


if __name__ == "__main__":
    unittest.main()
