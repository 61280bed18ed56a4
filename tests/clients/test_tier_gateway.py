"""Two gateways that share a cluster: one fetch for both, purges that both hear of, and a tier that does not answer."""
import os, subprocess, threading, time, unittest

from harness import BINARY, Nuthatch, Origin, fetch
from redis_cluster import RedisCluster, until

TOKEN = "0123456789abcdef0123456789abcdef"


class GatewaysOnATier(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = RedisCluster()
        cls.addClassCleanup(cls.cluster.stop)

    def setUp(self):
        self.number = 0
        self.lock = threading.Lock()
        self.origin = Origin(self.answer)
        self.addCleanup(self.origin.stop)
        self.nodes = []
        for _ in range(2):
            node = Nuthatch("gateway", f"http://127.0.0.1:{self.origin.port}", "--tier", self.cluster.url, "--threads", "2",
                            "--purge-method", "yes", "--admin-token", TOKEN, "--admin", "http://127.0.0.1:0",
                            listen="http://127.0.0.1:0")
            self.addCleanup(node.stop)
            self.nodes.append(node)
            node.wait_for("tier: there is a server that can be used")
            node.admin = node.wait_for(r"admin ready on (\S+)\n")[0]

    def answer(self, request):
        with self.lock:
            self.number += 1
            body = b"%d" % self.number
        time.sleep(0.2)
        request.reply(200, body, Cache_Control="max-age=60")

    def ask(self, node, path, **headers):
        answer = fetch(self.nodes[node].port, path, **headers)
        self.assertEqual(answer.status, 200)
        return answer.body, answer["Cache-Status"]

    def test_a_crowd_at_both_nodes_is_one_request(self):
        bodies = []
        threads = [threading.Thread(target=lambda i=i: bodies.append(self.ask(i % 2, "/crowd")[0])) for i in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(bodies, [b"1"] * 60)
        self.assertEqual(self.origin.count(), 1)

    def test_what_one_has_the_other_gets_until_it_is_purged(self):
        self.assertEqual(self.ask(0, "/birds")[0], b"1")
        body, status = self.ask(1, "/birds")
        self.assertEqual(body, b"1")
        self.assertIn("detail=tier", status)
        self.assertEqual(self.ask(1, "/birds", Nuthatch_Fenced="1")[0], b"1")
        purged = fetch(self.nodes[0].port, "/birds", "PURGE", Authorization=f"Bearer {TOKEN}")
        self.assertEqual((purged.status, purged.body), (200, b'{"purged":1,"soft":false}\n'))
        time.sleep(1.2)  # the bound
        self.assertEqual(self.ask(1, "/birds")[0], b"2")
        self.assertEqual(self.ask(0, "/birds")[0], b"2")

    def purge_command(self, node, *words):
        """`nuthatch purge` at that node: its exit status, and what it says."""
        environment = {**os.environ, "NUTHATCH_ADMIN_TOKEN": TOKEN}
        done = subprocess.run([BINARY, "purge", *words, "--admin", self.nodes[node].admin],
                              env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_a_purge_is_answered_once_the_tier_has_it_or_says_that_it_has_not(self):
        self.assertEqual(self.purge_command(0, "/a", "/b"), (0, "purged: 2\n"))
        for node in self.cluster.nodes:
            node.freeze()
        try:
            purged = fetch(self.nodes[0].port, "/birds", "PURGE", Authorization=f"Bearer {TOKEN}")
            self.assertEqual((purged.status, purged.body), (202, b'{"purged":1,"soft":false,"told":false}\n'))
            status, said = self.purge_command(1, "--tag", "birds", "--soft")
            self.assertEqual(status, 4, said)
            self.assertIn("made stale: 1", said)
            self.assertIn("tier", said)
        finally:
            for node in self.cluster.nodes:
                node.thaw()
        self.cluster.wait_until_ok()
        until(lambda: self.purge_command(0, "--all")[0] == 0, "a purge that the tier has")

    def test_a_tier_that_does_not_answer_holds_up_nobody_for_long(self):
        self.assertEqual(self.ask(0, "/first")[0], b"1")
        for node in self.cluster.nodes:
            node.freeze()
        try:
            begun = time.monotonic()
            self.assertEqual(self.ask(0, "/first")[0], b"1")
            self.assertEqual(self.ask(0, "/second")[0], b"2")
            self.assertLess(time.monotonic() - begun, 15)
        finally:
            for node in self.cluster.nodes:
                node.thaw()


if __name__ == "__main__":
    unittest.main()
