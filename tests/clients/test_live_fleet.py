"""Gateways that share a cluster and are watched: they poll as one, and each tells what another has fetched or purged."""
import time, unittest

from harness import Nuthatch, Origin, fetch
from redis_cluster import RedisCluster
from test_live import PATIENCE_S, Changing, Stream

TOKEN = "0123456789abcdef0123456789abcdef"
INTERVAL_S = 0.5


class Fleet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = RedisCluster()
        cls.addClassCleanup(cls.cluster.stop)

    def setUp(self):
        self.changing = Changing()
        self.origin = Origin(self.changing)
        self.addCleanup(self.origin.stop)
        self.nodes = []

    def start_node(self, interval):
        node = Nuthatch("gateway", self.origin.url, "--tier", self.cluster.url, "--threads", "1", "--live", "yes",
                        "--live-interval", interval, "--purge-method", "yes", "--admin-token", TOKEN, listen="http://127.0.0.1:0")
        self.addCleanup(node.stop)
        node.wait_for("tier: there is a server that can be used")
        self.nodes.append(node)
        return node

    def watch(self, node):
        stream = Stream(node.port, Accept="text/event-stream")
        self.addCleanup(lambda: stream.has_ended or stream.close())
        return stream.wait_for_count(self.changing.state["count"])

    def test_three_nodes_poll_as_one(self):
        streams = [self.watch(self.start_node(f"{int(INTERVAL_S * 1000)}ms")) for _ in range(3)]
        time.sleep(INTERVAL_S)
        asked, began = self.origin.count("/state"), time.time()
        for count in range(1, 9):
            self.changing.change(count=count)
            for stream in streams:
                stream.wait_for_count(count)
        intervals = (time.time() - began) / (INTERVAL_S * 0.9)
        self.assertLessEqual(self.origin.count("/state") - asked, intervals + 3)  # not three times as many
        for stream in streams:
            counts = [event[2]["count"] for event in stream.events]
            self.assertEqual(counts, sorted(counts))  # nobody is told again what was

    def test_what_one_node_fetches_or_purges_watchers_of_another_hear_of(self):
        one, other = self.start_node("1h"), self.start_node("1h")  # neither polls meanwhile
        stream = self.watch(other)
        self.changing.change(count=1)
        self.assertEqual(fetch(one.port, "/state").status, 200)
        stream.wait_for_count(1)
        self.changing.change(count=2)
        self.assertEqual(fetch(one.port, "/state", "PURGE", Authorization=f"Bearer {TOKEN}").status, 200)
        stream.wait_for_count(2)


if __name__ == "__main__":
    unittest.main()
