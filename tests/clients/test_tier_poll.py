"""Two gateways that share a tier and poll the same: one of them asks, and when it is killed the other goes on."""
import json, shutil, signal, tempfile, time, unittest

from harness import Nuthatch, Origin, fetch
from redis_cluster import RedisServers, until

INTERVAL_S = 0.5


class TierPollTest(unittest.TestCase):
    def setUp(self):
        self.origin = Origin(lambda request: request.reply(200, b"state", ETag='"1"', Cache_Control="max-age=0"))
        self.addCleanup(self.origin.stop)
        self.tier = RedisServers(replica_count=0)
        self.addCleanup(self.tier.stop)
        self.folder = tempfile.mkdtemp(prefix="nuthatch-poll-")
        self.addCleanup(shutil.rmtree, self.folder)
        with open(f"{self.folder}/gateway.yaml", "w") as file:
            file.write(f"threads: 2\nmemory: 64M\nadmin: http://127.0.0.1:0\ntier: {self.tier.url}\ngateway:\n"
                       f"  listen: http://127.0.0.1:0\n  origin: {self.origin.url}\n"
                       f"  poll:\n    - {{url: /state, interval: {int(INTERVAL_S * 1000)}ms}}\n")

    def node(self):
        node = Nuthatch("serve", f"{self.folder}/gateway.yaml", listen=())
        self.addCleanup(node.stop)
        node.admin = int(node.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
        node.wait_for("tier: there is a server that can be used")
        return node

    def poll(self, node):
        return json.loads(fetch(node.admin, "/status").body)["gateway"]["polls"][0]

    def test_one_asks_for_both_and_another_goes_on_when_it_is_killed(self):
        first, second = self.node(), self.node()
        until(lambda: self.poll(first)["seen"] + self.poll(second)["seen"] > 1, "one sees what the other has brought")
        asker, other = sorted((first, second), key=lambda node: self.poll(node)["by_another_node"])
        before, begun = self.origin.count(), time.monotonic()
        time.sleep(6 * INTERVAL_S)
        asked, intervals = self.origin.count() - before, (time.monotonic() - begun) / INTERVAL_S
        self.assertLessEqual(asked, intervals / 0.9 + 1)  # a wait is a tenth shorter at times
        polls = self.poll(other)["polls"]
        asker.stop(signal.SIGKILL)
        until(lambda: self.poll(other)["polls"] > polls + 1, "the other goes on")
        self.assertFalse(self.poll(other)["by_another_node"])


if __name__ == "__main__":
    unittest.main()
