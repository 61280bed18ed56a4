"""`nuthatch status`: what it shows of a process that runs, and its exit status."""
import json, os, subprocess, tempfile, unittest

from harness import BINARY, Nuthatch, Origin, PATIENCE_S, fetch, free_port
from redis_cluster import RedisCluster, until
import redis


def status(*arguments, admin, **environment):
    """Returns its exit status, what it says, and what it complains of."""
    variables = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run([BINARY, "status", "--admin", admin, *arguments], capture_output=True, text=True,
                          timeout=PATIENCE_S, env={**variables, **environment})
    return done.returncode, done.stdout, done.stderr


def answered(client, key):
    """The tier may still be on its way."""
    try:
        client.get(key)
        return True
    except redis.RedisError:
        return False


class Status(unittest.TestCase):
    def serve(self, *arguments, **options):
        server = Nuthatch(*arguments, "--memory", "64M", "--admin", "http://127.0.0.1:0", **options)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        server.admin = server.wait_for(r"admin ready on (\S+)\n")[0]
        return server

    def test_a_cache(self):
        server = self.serve("cache", "--threads", "2", listen="resp://127.0.0.1:0")
        with redis.Redis(port=server.port) as client:
            client.set("a", "b")
            client.get("a"), client.get("a"), client.get("a"), client.get("absent")
            code, said, complaint = status("--json", admin=server.admin)
            page = status(admin=server.admin)
        self.assertEqual((code, complaint), (0, ""))
        said = json.loads(said)
        self.assertEqual(said["cache"]["hits"], 3)
        self.assertEqual(said["cache"]["misses"], 1)
        self.assertEqual(said["cache"]["hit_ratio"], 0.75)
        self.assertEqual(said["memory"]["values"], 1)
        self.assertEqual(said["memory"]["store_bytes_max"], 64 << 20)
        self.assertEqual(len(said["workers"]), 2)
        self.assertEqual(sum(worker["connections"] for worker in said["workers"]), said["connections"]["now"])
        self.assertGreaterEqual(said["uptime_ms"], 0)
        self.assertNotIn("gateway", said)
        self.assertNotIn("tier", said)
        self.assertEqual((page[0], page[2]), (0, ""))
        self.assertIn("75.0 % of 4 reads found a value", page[1])
        self.assertNotIn("\033", page[1])

    def test_a_gateway(self):
        with Origin(lambda request: request.reply(200, b"x", Cache_Control="max-age=60")) as origin:
            server = self.serve("gateway", origin.url, listen="http://127.0.0.1:0")
            for _ in range(4):
                fetch(server.port, "/")
            said = json.loads(status("--json", admin=server.admin)[1])["gateway"]
        self.assertEqual((said["hits"], said["fetches"], said["hit_ratio"]), (3, 1, 0.75))

    def test_a_mock_keeps_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/db.json", "w") as file:
                file.write('{"birds": []}')
            server = self.serve("mock", f"{folder}/db.json", listen="http://127.0.0.1:0")
            fetch(server.port, "/birds")
            said = json.loads(status("--json", admin=server.admin)[1])
        self.assertEqual(said["mock"]["requests"], 1)
        self.assertNotIn("store_bytes", said["memory"])
        self.assertNotIn("cache", said)

    def test_a_token(self):
        server = self.serve("cache", "--admin-token", "sesame", listen="resp://127.0.0.1:0")
        code, said, complaint = status(admin=server.admin)
        self.assertEqual((code, said), (1, ""))
        self.assertIn("NUTHATCH_ADMIN_TOKEN", complaint)
        self.assertEqual(status(admin=server.admin, NUTHATCH_ADMIN_TOKEN="sesam")[0], 1)
        self.assertEqual(status(admin=server.admin, NUTHATCH_ADMIN_TOKEN="sesame")[0], 0)

    def test_a_shared_tier(self):
        with RedisCluster() as cluster:
            server = self.serve("cache", "--tier", cluster.url, "--threads", "2", listen="resp://127.0.0.1:0")

            with redis.Redis(port=server.port) as client:
                for number in range(100):
                    until(lambda: answered(client, f"bird:{number}"), "an answer")

            def whole():
                said = json.loads(status("--json", admin=server.admin)[1])["tier"]
                states = [(node["role"], node["state"], node["threads_open"]) for node in said["servers"]]
                known = all(node["coherence_age_ms"] is not None for node in said["servers"])
                return said if known and states == [("primary", "open", 2)] * 3 else None
            tier = until(whole, "three servers that both threads are connected to")
            self.assertEqual(sorted(node["slots"] for node in tier["servers"]), ["0-5460", "10922-16383", "5461-10921"])
            self.assertEqual(sum(node["slot_count"] for node in tier["servers"]), 16384)
            self.assertEqual(tier["max_staleness_ms"], 1000)
            for node in tier["servers"]:
                self.assertLess(node["coherence_age_ms"], PATIENCE_S * 1000)
                self.assertGreater(node["round_trips"], 0)
                self.assertGreaterEqual(node["max_us"], node["p50_us"])
            self.assertIn("3 of 3 servers open", status(admin=server.admin)[1])
            metrics = fetch(int(server.admin.rsplit(":", 1)[1]), "/metrics").body.decode()
            address = tier["servers"][0]["address"]
            self.assertIn(f'nuthatch_tier_server_open{{server="{address}",role="primary"}} 2\n', metrics)
            self.assertRegex(metrics, r'nuthatch_tier_server_coherence_age_seconds\{server="127[^"]*"\} [0-9.]+\n')

    def test_a_tier_that_is_away(self):
        server = self.serve("cache", "--tier", f"valkey://127.0.0.1:{free_port()}", listen="resp://127.0.0.1:0")
        code, said, complaint = status("--json", admin=server.admin)
        self.assertEqual((code, complaint), (0, ""))
        self.assertEqual(json.loads(said)["tier"]["servers"], [])
        self.assertIn("0 of 0 servers open", status(admin=server.admin)[1])
        server.wait_for("tier: nothing learnt")

    def test_nobody_there_or_somebody_else(self):
        admin = f"http://127.0.0.1:{free_port()}"
        code, said, complaint = status(admin=admin)
        self.assertEqual((code, said), (3, ""))
        self.assertIn("start nuthatch with --admin", complaint)
        for answer in (b"", b"{}", b"[]", b'{"version": 1}', b"\xff\xfe", b"[" * 100_000):
            with Origin(lambda request: request.reply(200, answer)) as origin:
                code, said, complaint = status(admin=origin.url)
            self.assertEqual((code, said), (1, ""), answer[:10])
            self.assertIn("no administrator's API of nuthatch", complaint)
        with Origin(lambda request: request.reply(200, b"x" * (2 << 20))) as origin:
            self.assertEqual(status(admin=origin.url)[0], 3)

    def test_what_another_says_is_shown_without_its_control_bytes(self):
        hostile = {"version": "\033[2J", "uptime_ms": -5, "loop": 7, "memory": [], "connections": {"now": 1e300},
                   "workers": [None, {"connections": "x"}, 5], "cache": {"hits": 2 ** 63 - 1, "hit_ratio": 1e300}}
        with Origin(lambda request: request.reply(200, json.dumps(hostile).encode())) as origin:
            code, said, complaint = status(admin=origin.url)
        self.assertEqual((code, complaint), (0, ""))
        self.assertNotIn("\033", said)

    def test_a_wrong_command_line(self):
        self.assertEqual(status("x", admin="http://127.0.0.1:1")[0], 2)
        self.assertEqual(status(admin="127.0.0.1:1")[0], 2)


if __name__ == "__main__":
    unittest.main()
