"""redis-py's transactions: MULTI and EXEC by its pipelines, WATCH with many threads and processes at one counter, and
money that is moved between accounts while others look."""
import multiprocessing, random, threading, unittest

import redis

from harness import FREED_IS_GONE, Nuthatch

ACCOUNTS, EACH = 5, 100


def one_more(pipe):
    before = int(pipe.get("n") or 0)
    pipe.multi()
    pipe.set("n", before + 1)


def count_up(port, times):
    client = redis.Redis(port=port)
    for _ in range(times):
        client.transaction(one_more, "n")
    client.close()


def move(port, times, seed):
    client, chance = redis.Redis(port=port), random.Random(seed)
    for _ in range(times):
        source, target = chance.sample(range(ACCOUNTS), 2)
        with client.pipeline() as pipe:
            amount = chance.randrange(50)
            pipe.decrby(f"a{source}", amount).incrby(f"a{target}", amount).execute()
    client.close()


class Transactions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Nuthatch("cache", "--memory", "64M", "--threads", "2")
        cls.client = redis.Redis(port=cls.server.port, decode_responses=True)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        assert cls.server.stop() == 0

    def setUp(self):
        self.client.flushall()

    def test_a_pipeline_is_a_transaction(self):
        with self.client.pipeline() as pipe:
            pipe.set("k", "v").incr("n").get("k").mget("n", "none")
            self.assertEqual(pipe.execute(), [True, 1, "v", ["1", None]])
            pipe.set("k", "x").incr("k").get("k")
            answers = pipe.execute(raise_on_error=False)
            self.assertIsInstance(answers[1], redis.ResponseError)
            self.assertEqual((answers[0], answers[2]), (True, "x"))

    def test_an_unknown_command_undoes_all(self):
        with self.client.pipeline() as pipe:
            pipe.set("k", "v").execute_command("NOSUCH", "k")
            with self.assertRaises(redis.ResponseError):
                pipe.execute()
        self.assertIsNone(self.client.get("k"))

    def test_a_watched_key_that_was_changed(self):
        with self.client.pipeline() as pipe:
            pipe.watch("k")
            self.client.set("k", "theirs")
            pipe.multi()
            pipe.set("k", "mine")
            with self.assertRaises(redis.WatchError):
                pipe.execute()
        self.assertEqual(self.client.get("k"), "theirs")

    def test_a_transaction_of_many_commands(self):
        with self.client.pipeline() as pipe:
            for i in range(20000):
                pipe.set(f"k{i}", "x" * (i % 200))
            self.assertEqual(pipe.execute(), [True] * 20000)
        self.assertEqual(self.client.get("k199"), "x" * 199)

    def test_a_transaction_that_is_too_large(self):
        with Nuthatch("cache", "--memory", "64M", "--value-max", "512K", "--connection-buffer", "1M") as server:
            client = redis.Redis(port=server.port)
            with client.pipeline() as pipe:
                for i in range(30):
                    pipe.set(f"k{i}", "x" * 50000)
                with self.assertRaisesRegex(redis.ResponseError, "larger than a connection may buffer"):
                    pipe.execute()
            self.assertEqual(client.dbsize(), 0)
            client.close()

    def test_no_update_is_lost(self):
        threads = [threading.Thread(target=count_up, args=(self.server.port, 60)) for _ in range(4)]
        processes = [multiprocessing.Process(target=count_up, args=(self.server.port, 60)) for _ in range(3)]
        for one in threads + processes:
            one.start()
        for one in threads + processes:
            one.join()
        self.assertEqual(self.client.get("n"), str(7 * 60))

    def test_the_sum_is_always_right(self):
        self.client.mset({f"a{i}": EACH for i in range(ACCOUNTS)})
        movers = [multiprocessing.Process(target=move, args=(self.server.port, 300, seed)) for seed in range(3)]
        for one in movers:
            one.start()
        looks = 0
        while any(one.is_alive() for one in movers) or looks == 0:
            with self.client.pipeline() as pipe:
                for i in range(ACCOUNTS):
                    pipe.get(f"a{i}")
                self.assertEqual(sum(map(int, pipe.execute())), ACCOUNTS * EACH)
            looks += 1
        for one in movers:
            one.join()

    def test_connections_that_end_keep_nothing(self):
        with Nuthatch("cache", "--memory", "64M", environment=FREED_IS_GONE) as server:
            def begin(i):
                one = redis.Connection(port=server.port)
                one.send_command("WATCH", *[f"w{i}-{j}" for j in range(100)])
                one.read_response()
                for words in (["MULTI"], *[["SET", "k", "x" * 10000]] * 20):
                    one.send_command(*words)
                    one.read_response()
                one.disconnect()

            for i in range(50):
                begin(i)
            before = server.resident_kib()
            for i in range(400):
                begin(i)
            self.assertLess(server.resident_kib() - before, 20000)  # not 80 MB


if __name__ == "__main__":
    unittest.main()
