"""Our own commands and plain HTTP in front of a tier: the answers are those of a node that has its keys itself, and count
for all nodes."""
import http.client
import json
import os
import random
import threading
import time
import unittest

from harness import Nuthatch
from redis_cluster import RedisCluster
from resp_client import Connection

SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
TIMES = {b"retry_after_ms", b"reset_ms", b"ttl_ms"}


class Faces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"SEED={SEED}", flush=True)
        cls.cluster = RedisCluster(replica_count=0)
        tier = ["--memory", "64M", "--threads", "2", "--tier", cls.cluster.url, "--tier-timeout", "3s"]
        cls.nodes = [Nuthatch("cache", *tier, listen="resp://127.0.0.1:0") for _ in range(2)]
        cls.alone = Nuthatch("cache", "--memory", "64M", listen="resp://127.0.0.1:0")
        cls.http_nodes = [Nuthatch("cache", *tier, "--value-max", "1M", listen="kv+http://127.0.0.1:0"),
                          Nuthatch("cache", "--memory", "64M", "--value-max", "1M", listen="kv+http://127.0.0.1:0")]
        cls.here, cls.there = (Connection(node.port) for node in cls.nodes)
        cls.own = Connection(cls.alone.port)

    @classmethod
    def tearDownClass(cls):
        for connection in (cls.here, cls.there, cls.own):
            connection.close()
        stopped = [node.stop() for node in [*cls.nodes, cls.alone, *cls.http_nodes]]
        cls.cluster.stop()
        assert stopped == [0] * 5, stopped

    def setUp(self):
        self.here.call("FLUSHALL"), self.own.call("FLUSHALL")

    def map(self, connection, *command):
        """The answer of ours, which is a map, as one."""
        answer = connection.ask(*command)
        return dict(zip(answer[::2], answer[1::2])) if isinstance(answer, list) else answer

    def same(self, *command, by=None):
        ours, wanted = self.map(by or self.here, *command), self.map(self.own, *command)
        if not isinstance(wanted, dict):
            self.assertEqual(ours, wanted, command)
            return
        self.assertEqual(ours.keys(), wanted.keys(), command)
        for name, value in wanted.items():
            if name in TIMES and value > 0:
                self.assertTrue(abs(ours[name] - value) < 1500, f"SEED={SEED} {command} {name}: {ours} {wanted}")
            elif name != b"version":
                self.assertEqual(ours[name], value, f"SEED={SEED} {command} {name}: {ours} {wanted}")

    def test_values_with_flags_and_conditions(self):
        for command in (["NH.SET", "k", "v", "PX", 60000, "FLAGS", 7], ["NH.GET", "k"], ["NH.SET", "k", "w", "NX"], ["NH.SET", "k", "w", "XX"],
                        ["NH.GET", "k"], ["NH.GET", "none"], ["NH.GET", "k", "FENCED"], ["NH.SET", "none", "w", "XX"], ["NH.SET", "k", "v", "EX", 0],
                        ["NH.SET", "k"], ["NH.SET", "k", "v", "NONSENSE"], ["NH.SET", "k", "w", "NX", "XX"], ["NH.GET", "k", "NONSENSE"],
                        ["NH.SET", "n", "w", "IFVERSION", 1], ["NH.PURGE", "KEY", "k", "none", "n"], ["NH.GET", "k"]):
            self.same(*command)
        self.here.call("NH.SET", "k", "v", "FLAGS", 9)
        found = self.map(self.there, "NH.GET", "k", "FENCED")
        self.assertEqual((found[b"value"], found[b"flags"], found[b"ttl_ms"]), (b"v", 9, -1))
        self.assertEqual(self.there.call("NH.SET", "k", "w", "IFVERSION", found[b"version"]), "OK")
        self.assertIsNone(self.here.call("NH.SET", "k", "x", "IFVERSION", found[b"version"]))
        self.assertEqual(self.here.call("GET", "k"), b"w")
        for command in (["NH.GET", "k", "LEASE"], ["NH.FILL", "k", 1, "v"], ["NH.SET", "k", "v", "TAGS", 1, "t"], ["NH.SET", "k", "v", "SOFTTTL", 5],
                        ["NH.PURGE", "TAG", "t"], ["NH.PURGE", "PREFIX", "t"], ["NH.SET", "k", "v", "NEGATIVE"]):
            self.assertIn("shared tier", str(self.here.ask(*command)))

    def test_locks_are_of_all_nodes(self):
        self.assertEqual(self.here.call("SET", "lock", "mine", "NX", "PX", 60000), "OK")
        self.assertEqual([self.there.call("NH.DELIFEQ", "lock", "theirs"), self.there.call("NH.EXPIREIFEQ", "lock", 90000, "theirs"),
                          self.there.call("NH.EXPIREIFEQ", "lock", 90000, "mine")], [0, 0, 1])
        self.assertTrue(60000 < self.here.call("PTTL", "lock") <= 90000)
        self.assertEqual([self.there.call("NH.DELIFEQ", "lock", "mine"), self.here.call("NH.DELIFEQ", "lock", "mine")], [1, 0])
        for command in (["NH.EXPIREIFEQ", "lock", 0, "v"], ["NH.EXPIREIFEQ", "lock", "x", "v"], ["NH.EXPIREIFEQ", "none", 5, "v"]):
            self.same(*command)

    def test_rates_are_judged_as_by_one_node(self):
        r = random.Random(SEED)
        for number in range(12):
            key = f"r{number}"
            rate = ["NH.RATE", key, *r.choice([["TOKENBUCKET", r.choice([1, 3, 10, 1000]), r.choice(["0.001", "0.01", "0.5"])],
                                               ["WINDOW", r.choice([1, 3, 10, 1000]), r.choice([100000, 5000000, 2592000000])]])]
            state = r.choice(["", "bucket 0", "bucket 999999", "window 100000 5 3", "window 5000000 9 0", "window 60000 1 900", "other"])
            if state:
                for c in (self.here, self.own):
                    c.call("SET", key, state, "PX", 150000)
            for _ in range(8):
                self.same(*rate, *r.choice([[], [], [1], [2], [0], [7], [2000]]), by=r.choice([self.here, self.there]))
        for wrong in (["TOKENBUCKET", 0, 1], ["TOKENBUCKET", 1, 0], ["WINDOW", 1, 0], ["WINDOW", 1, 5, -1], ["NONE", 1, 1]):
            self.same("NH.RATE", "k", *wrong)
        self.here.call("RPUSH", "list", "a")
        self.assertEqual(self.here.ask("NH.RATE", "list", "WINDOW", 1, 1000).code, "WRONGTYPE")

    def test_no_more_passes_than_was_allowed_however_many_nodes_are_asked(self):
        passed = []

        def ask(port):
            with Connection(port) as c:
                for _ in range(20):
                    passed.append(self.map(c, "NH.RATE", "all", "TOKENBUCKET", 50, "0.001")[b"allowed"])
        threads = [threading.Thread(target=ask, args=(node.port,)) for node in self.nodes for _ in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        self.assertEqual((len(passed), sum(passed)), (120, 50))

    def request(self, method, path, body=None, headers=None):
        """The same of both; what they say, but for versions, must be the same. {E} in a header is what the last answer had."""
        told = []
        for node, connection in zip(self.http_nodes, self.connections):
            wanted = {name: value.replace("{E}", self.etags.get(node, '"0"')) for name, value in (headers or {}).items()}
            connection.request(method, path, body, wanted)
            answer = connection.getresponse()
            content = answer.read()
            self.etags[node] = answer.headers.get("ETag", self.etags.get(node, '"0"'))
            ttl = answer.headers.get("Nuthatch-TTL")
            told.append((answer.status, content, answer.headers["Content-Type"], answer.headers["Content-Range"], answer.headers["Nuthatch-Flags"],
                         answer.headers["Nuthatch-State"], answer.headers["Content-Length"], ttl and round(float(ttl), -2), "ETag" in answer.headers))
        self.assertEqual(told[0], told[1], f"{method} {path} {headers}")
        return told[0][0]

    def test_values_over_http_are_as_without_a_tier(self):
        self.etags = {}
        self.connections = [http.client.HTTPConnection("127.0.0.1", node.port, timeout=20) for node in self.http_nodes]
        self.connections[1].request("DELETE", "/keys/k")
        self.connections[1].getresponse().read()
        large = bytes(range(256)) * 3000
        for status, *request in (
                (404, "GET", "/keys/k"), (404, "DELETE", "/keys/k"), (201, "PUT", "/keys/k", b"hello", {"Nuthatch-TTL": "1000", "Nuthatch-Flags": "7"}),
                (200, "GET", "/keys/k"), (200, "HEAD", "/keys/k"), (304, "GET", "/keys/k", None, {"If-None-Match": "{E}"}),
                (206, "GET", "/keys/k", None, {"Range": "bytes=1-2"}), (416, "GET", "/keys/k", None, {"Range": "bytes=9-"}),
                (206, "GET", "/keys/k", None, {"Range": "bytes=1-", "If-Range": "{E}"}), (200, "GET", "/keys/k", None, {"Range": "bytes=1-", "If-Range": '"5"'}),
                (412, "PUT", "/keys/k", b"x", {"If-None-Match": "*"}), (412, "PUT", "/keys/k", b"x", {"If-Match": '"5"'}),
                (204, "PUT", "/keys/k", b"there", {"If-Match": "{E}", "Nuthatch-Flags": "8"}), (200, "GET", "/keys/k"),
                (412, "DELETE", "/keys/k", None, {"If-Match": '"5"'}), (204, "PUT", "/keys/k", b"", {}), (200, "GET", "/keys/k"),
                (204, "DELETE", "/keys/k", None, {"If-Match": "{E}"}), (404, "GET", "/keys/k"), (412, "PUT", "/keys/k", b"x", {"If-Match": "*"}),
                (201, "PUT", "/keys/k", b"x", {"If-None-Match": "*"}), (204, "PUT", "/keys/k", large, {"Cache-Control": "max-age=500"}),
                (200, "GET", "/keys/k"), (206, "GET", "/keys/k", None, {"Range": "bytes=-70000"}),
                (200, "HEAD", "/keys/k"), (204, "DELETE", "/keys/k"), (201, "PUT", "/keys/a%2Fb%20c", b"v", {}), (200, "GET", "/keys/a/b%20c"),
                (405, "POST", "/keys/k", b"x", {}), (404, "GET", "/other"), (400, "PUT", "/keys/k", b"x", {"Nuthatch-TTL": "x"}),
                (403, "GET", "/keys/k", None, {"Origin": "http://evil.example"}), (204, "DELETE", "/keys/a/b%20c")):
            self.assertEqual(self.request(*request), status, request)
        for connection in self.connections:
            connection.putrequest("PUT", "/keys/k")
            connection.putheader("Content-Length", "2000000")
            connection.endheaders()  # it is refused by what it promises; to send it would race with that
            self.assertEqual(connection.getresponse().status, 413)
            connection.close()
        connection = self.connections[0]
        connection.request("GET", "/keys/k?db=1")
        answer = connection.getresponse()
        self.assertEqual((answer.status, json.loads(answer.read())["detail"]), (400, "with a shared tier there is only database 0"))
        self.here.call("RPUSH", "list", "a")
        for method, status in (("GET", 409), ("PUT", 204)):
            connection.request(method, "/keys/list", b"v" if method == "PUT" else None)
            answer = connection.getresponse()
            self.assertEqual((method, answer.status), (method, status))
            answer.read()
        self.assertEqual(self.there.call("GET", "list"), b"v")
        for connection in self.connections:
            connection.close()

    def test_of_many_who_add_over_http_one_does(self):
        statuses = []

        def put(value):
            connection = http.client.HTTPConnection("127.0.0.1", self.http_nodes[0].port, timeout=20)
            connection.request("PUT", "/keys/once", value, {"If-None-Match": "*"})
            statuses.append(connection.getresponse().status)
            connection.close()
        threads = [threading.Thread(target=put, args=(b"%d" % number,)) for number in range(10)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        self.assertEqual(sorted(statuses), [201] + [412] * 9)


if __name__ == "__main__":
    unittest.main()
