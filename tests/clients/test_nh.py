"""The cache's own commands through redis-py, which knows none of them: leases, locks, rates, insight."""
import threading, time, unittest

import redis

from harness import Nuthatch


def pairs(answer):
    """A map, whichever version of the protocol it came in."""
    if not isinstance(answer, dict):
        answer = dict(zip(answer[::2], answer[1::2]))
    return {name.decode(): value for name, value in answer.items()}


class Own(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Nuthatch("cache", "--memory", "64M", "--threads", "2", "--insight", "1")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def setUp(self):
        self.client = redis.Redis(port=self.server.port)
        self.client.flushall()

    def tearDown(self):
        self.client.close()

    def read_through(self, client, key, compute):
        while True:
            found = pairs(client.execute_command("NH.GET", key, "LEASE"))
            if found["lease"] is not None:
                client.execute_command("NH.FILL", key, found["lease"], compute(), "EX", 60)
            elif found["state"] == b"wait":
                time.sleep(0.005)
            else:
                return found["value"]

    def test_of_many_who_read_through_one_computes(self):
        computed, values = [], []

        def compute():
            computed.append(1)
            time.sleep(0.1)
            return "costly"

        def read():
            client = redis.Redis(port=self.server.port)
            values.append(self.read_through(client, "k", compute))
            client.close()
        threads = [threading.Thread(target=read) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(computed), 1)
        self.assertEqual(values, [b"costly"] * 20)

    def test_never_more_passes_than_the_limit(self):
        """Connections spread over both workers; the bucket is refilled so slowly that it does not matter."""
        allowed = []

        def ask(algorithm):
            client = redis.Redis(port=self.server.port)
            pipeline = client.pipeline(transaction=False)
            for _ in range(200):
                pipeline.execute_command("NH.RATE", "rate:" + algorithm[0], *algorithm)
            allowed.extend(pairs(answer)["allowed"] for answer in pipeline.execute())
            client.close()
        for algorithm in ("TOKENBUCKET", 500, 0.001), ("WINDOW", 500, 600000):
            allowed.clear()
            threads = [threading.Thread(target=ask, args=(algorithm,)) for _ in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual((len(allowed), sum(allowed)), (3200, 500), algorithm)
        last = pairs(self.client.execute_command("NH.RATE", "rate:WINDOW", "WINDOW", 500, 600000))
        self.assertEqual((last["allowed"], last["remaining"]), (0, 0))
        self.assertTrue(500000 < last["retry_after_ms"] <= 605000, last)

    def test_locks(self):
        c = self.client
        self.assertTrue(c.set("lock", "mine", nx=True, px=1000))
        self.assertEqual(c.execute_command("NH.EXPIREIFEQ", "lock", 50000, "other"), 0)
        self.assertEqual(c.execute_command("NH.EXPIREIFEQ", "lock", 50000, "mine"), 1)
        self.assertGreater(c.pttl("lock"), 40000)
        self.assertEqual(c.execute_command("NH.DELIFEQ", "lock", "other"), 0)
        self.assertEqual(c.execute_command("NH.DELIFEQ", "lock", "mine"), 1)

    def test_tags(self):
        c = self.client
        c.execute_command("NH.SET", "page:1", "x", "TAGS", 2, "user:1", "news")
        c.execute_command("NH.SET", "page:2", "y", "TAGS", 1, "user:2")
        self.assertTrue(c.execute_command("NH.PURGE", "TAG", "user:1"))
        self.assertEqual(c.mget("page:1", "page:2"), [None, b"y"])
        self.assertEqual(c.execute_command("NH.PURGE", "PREFIX", "page:"), 1)

    def test_insight(self):
        for i in range(20):
            pipeline = self.client.pipeline(transaction=False)
            for j in range(1000):
                pipeline.get("hot" if j % 2 else f"cold:{i * 1000 + j}")
            pipeline.execute()
        hottest = pairs(self.client.execute_command("NH.HOTKEYS", 3)[0])
        self.assertEqual((hottest["key"], hottest["db"]), (b"hot", 0))
        curve = self.client.execute_command("NH.MRC")
        self.assertTrue(all(0 <= float(ratio) <= 1 for _, ratio in curve))


if __name__ == "__main__":
    unittest.main()
