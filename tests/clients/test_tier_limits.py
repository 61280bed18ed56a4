"""Two gateways that share a tier, in front of an API with a limit: together they send no more, with the tier and without."""
import threading, time, unittest

from harness import Nuthatch, Origin, fetch
from redis_cluster import RedisCluster, until

LIMIT, BURST = 60, 30  # a minute; each node for itself would send as many


class GatewaysThatShareALimit(unittest.TestCase):
    def setUp(self):
        cluster = RedisCluster()
        self.addCleanup(cluster.stop)
        self.cluster = cluster
        self.origin = Origin(lambda request: request.reply(200, b"x", Cache_Control="no-store"))
        self.addCleanup(self.origin.stop)
        self.nodes = []
        for _ in range(2):
            node = Nuthatch("gateway", f"http://127.0.0.1:{self.origin.port}", "--tier", cluster.url, "--threads", "2", "--rate-limit",
                            f"{LIMIT}/m", "--rate-burst", str(BURST), "--rate-wait", "300ms", listen="http://127.0.0.1:0")
            self.addCleanup(node.stop)
            self.nodes.append(node)
            node.wait_for("tier: there is a server that can be used")

    def hammer(self, seconds):
        """All that both nodes will send on; how many that were."""
        statuses, until_s = [], time.monotonic() + seconds

        def ask(node):
            while time.monotonic() < until_s:
                statuses.append(fetch(node.port, "/x").status)
        threads = [threading.Thread(target=ask, args=(node,)) for node in self.nodes for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(set(statuses) - {200, 503}, set())
        return statuses.count(200)

    def test_the_limit_is_of_all_nodes_together(self):
        begun = time.monotonic()
        sent = self.hammer(3)
        self.assertGreaterEqual(sent, BURST - 4)  # a few are leased, and not used in time
        for node in self.cluster.nodes:
            node.freeze()
        try:
            sent += self.hammer(5)
        finally:
            for node in self.cluster.nodes:
                node.thaw()
        self.cluster.wait_until_ok()
        sent += self.hammer(2)
        if time.monotonic() - begun < 55:  # within one minute
            self.assertLessEqual(self.origin.count(), LIMIT)
            self.assertLessEqual(sent, LIMIT)


if __name__ == "__main__":
    unittest.main()
