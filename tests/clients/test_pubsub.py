"""Publishing and subscribing, over two workers: who gets what, in which order, and what a client that does not read
costs; and keyspace notifications, which are those of a real Redis."""
import random, shutil, socket, subprocess, tempfile, threading, time, unittest

import redis

from harness import BINARY, FREED_IS_GONE, Nuthatch, Process, free_port

PATIENCE_S = 30


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class Wire:
    """A connection on which bytes are read as they come."""

    def __init__(self, port, *hello):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.file = self.socket.makefile("rb")
        for words in hello:
            self.ask(*words)

    def send(self, *words):
        self.socket.sendall(command(*words))

    def read(self):
        line = self.file.readline()
        if not line:
            raise EOFError
        kind, rest = line[:1], line[1:-2]
        if kind in b"*>~":
            return [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return [self.read() for _ in range(2 * int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        if kind == b":":
            return int(rest)
        return rest

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def close(self):
        self.file.close()
        self.socket.close()


def wait_until(condition):
    end = time.time() + PATIENCE_S
    while not condition():
        if time.time() > end:
            raise AssertionError("it did not come true in time")
        time.sleep(0.02)


class PubSub(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Nuthatch("cache", "--memory", "64M", "--threads", "2")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def client(self):
        client = redis.Redis(port=self.server.port, decode_responses=True)
        self.addCleanup(client.close)
        return client

    def wires(self, count, *hello):
        wires = [Wire(self.server.port, *hello) for _ in range(count)]
        for wire in wires:
            self.addCleanup(wire.close)
        return wires

    def test_redis_py_subscribes_in_a_thread(self):
        client, seen, done = self.client(), [], threading.Event()

        def note(message):
            seen.append((message["pattern"], message["channel"], message["data"]))
            if message["data"] == "last":
                done.set()

        subscriber = client.pubsub(ignore_subscribe_messages=True)
        subscriber.subscribe(**{"news": note})
        subscriber.psubscribe(**{"w*": note})
        thread = subscriber.run_in_thread(sleep_time=0.01)
        wait_until(lambda: client.pubsub_numsub("news") == [("news", 1)] and client.pubsub_numpat() == 1)
        self.assertEqual(client.publish("news", "1"), 1)
        self.assertEqual(client.publish("weather", "2"), 1)
        self.assertEqual(client.publish("sport", "3"), 0)
        self.assertEqual(client.publish("news", "last"), 1)
        self.assertTrue(done.wait(PATIENCE_S))
        thread.stop()
        thread.join()
        self.assertEqual(seen, [(None, "news", "1"), ("w*", "weather", "2"), (None, "news", "last")])
        subscriber.close()

    def test_many_channels(self):
        client = self.client()
        subscribers = [client.pubsub() for _ in range(4)]
        for i, subscriber in enumerate(subscribers):
            subscriber.subscribe(*[f"many:{i}:{j}" for j in range(500)], "many:all")
        for subscriber in subscribers:
            for _ in range(501):
                self.assertEqual(subscriber.get_message(timeout=PATIENCE_S)["type"], "subscribe")
        self.assertEqual(len(client.pubsub_channels("many:[0-3]:*")), 2000)
        self.assertEqual(client.pubsub_numsub("many:all", "many:0:0"), [("many:all", 4), ("many:0:0", 1)])
        self.assertEqual(client.publish("many:all", "x"), 4)
        self.assertEqual(client.publish("many:3:499", "y"), 1)
        self.assertEqual(client.info()["pubsub_channels"], 2001)
        for subscriber in subscribers:
            self.assertEqual(subscriber.get_message(timeout=PATIENCE_S)["data"], "x")
        self.assertEqual(subscribers[3].get_message(timeout=PATIENCE_S)["channel"], "many:3:499")
        for subscriber in subscribers:
            subscriber.close()
        wait_until(lambda: client.pubsub_channels("many:*") == [])

    def test_each_subscriber_gets_all_in_the_order_of_each_publisher(self):
        subscribers = self.wires(6, ("SUBSCRIBE", "order")) + self.wires(2, ("HELLO", "3"), ("PSUBSCRIBE", "ord*"))
        publishers, each = self.wires(4), 2000
        reached = [0] * len(publishers)

        def publish(number):
            wire = publishers[number]
            for first in range(0, each, 100):
                wire.socket.sendall(b"".join(command("PUBLISH", "order", f"{number} {first + i}") for i in range(100)))
                reached[number] += sum(wire.read() for _ in range(100))

        seen = [[] for _ in subscribers]

        def listen(number):
            for _ in range(each * len(publishers)):
                seen[number].append(subscribers[number].read()[-1].split())

        threads = [threading.Thread(target=publish, args=(i,)) for i in range(len(publishers))]
        threads += [threading.Thread(target=listen, args=(i,)) for i in range(len(subscribers))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sum(reached), each * len(publishers) * len(subscribers))
        for messages in seen:
            for number in range(len(publishers)):
                self.assertEqual([int(i) for who, i in messages if int(who) == number], list(range(each)))

    def test_what_publish_answers_is_what_arrives(self):
        """Subscriptions come and go meanwhile."""
        stop, got, told = threading.Event(), [], []

        def come_and_go():
            count = 0
            wire = Wire(self.server.port, ("HELLO", "3"))
            while not stop.is_set():
                wire.ask("SUBSCRIBE", "brief")
                time.sleep(random.random() / 500)
                wire.send("UNSUBSCRIBE", "brief")
                while (message := wire.read())[0] != b"unsubscribe":
                    count += message[0] == b"message"
            got.append(count)
            wire.close()

        def publish():
            wire = Wire(self.server.port)
            told.append(sum(wire.ask("PUBLISH", "brief", "x") for _ in range(3000)))
            wire.close()

        comers = [threading.Thread(target=come_and_go) for _ in range(6)]
        publishers = [threading.Thread(target=publish) for _ in range(2)]
        for thread in comers + publishers:
            thread.start()
        for thread in publishers:
            thread.join()
        stop.set()
        for thread in comers:
            thread.join()
        # A message may be on its way to a subscription that has ended, none to one that had not begun.
        self.assertGreater(sum(got), 0)
        self.assertLessEqual(sum(got), sum(told))
        wait_until(lambda: self.client().pubsub_numsub("brief") == [("brief", 0)])

    def test_client_info_counts_subscriptions(self):
        wire = Wire(self.server.port, ("HELLO", "3"), ("SUBSCRIBE", "counted"), ("PSUBSCRIBE", "coun*"))
        wire.ask("SSUBSCRIBE", "counted")
        wire.send("CLIENT", "INFO")
        line = wire.file.readline()
        text = wire.file.read(int(line[1:]) + 2)
        self.assertIn(b" flags=P db=0 sub=1 psub=1 ssub=1 ", text)
        wire.close()

    def test_a_client_that_leaves_is_no_subscriber(self):
        client = self.client()
        for _ in range(20):
            wires = self.wires(5, ("SUBSCRIBE", "leaving"), ("PSUBSCRIBE", "leav*"), ("SSUBSCRIBE", "leaving"))
            self.assertEqual(client.publish("leaving", "x"), 10)
            for wire in wires:
                wire.close()
            wait_until(lambda: client.publish("leaving", "x") == 0)
        wait_until(lambda: client.execute_command("PUBSUB", "SHARDCHANNELS") == [])

    def test_redis_py_subscribes_again_after_its_connection_broke(self):
        client = self.client()
        subscriber = client.pubsub(ignore_subscribe_messages=True)
        subscriber.subscribe("lasting")
        subscriber.get_message(timeout=1)
        subscriber.connection.disconnect()
        wait_until(lambda: client.publish("lasting", "x") == 0)
        wait_until(lambda: subscriber.get_message(timeout=0.05) is None and client.publish("lasting", "again") == 1)
        wait_until(lambda: (subscriber.get_message(timeout=1) or {}).get("data") == "again")
        subscriber.close()


class Idle(unittest.TestCase):
    def test_a_subscriber_may_be_silent_for_longer_than_others(self):
        with Nuthatch("cache", "--memory", "16M", "--cache-idle-timeout", "300ms") as server:
            silent, subscriber = Wire(server.port, ("PING",)), Wire(server.port, ("SUBSCRIBE", "a"))
            with self.assertRaises(EOFError):
                silent.read()
            time.sleep(0.5)
            self.assertEqual(subscriber.ask("PING"), [b"pong", b""])
            self.assertEqual(subscriber.ask("UNSUBSCRIBE"), [b"unsubscribe", b"a", 0])
            with self.assertRaises(EOFError):
                subscriber.read()
            silent.close()
            subscriber.close()


class Slow(unittest.TestCase):
    def test_a_subscriber_that_never_reads_is_cut_and_others_are_not_hurt(self):
        with Nuthatch("cache", "--memory", "16M", "--threads", "2", "--pubsub-output-max", "4M",
                      environment=FREED_IS_GONE) as server:
            slow = [Wire(server.port, ("SUBSCRIBE", "flood")) for _ in range(8)]
            good = [Wire(server.port, ("SUBSCRIBE", "flood")) for _ in range(4)]
            publisher = Wire(server.port)
            text, count = b"x" * 10000, 3000
            got = [0] * len(good)

            def listen(number):
                for _ in range(count):
                    assert good[number].read()[2] == text
                    got[number] += 1

            threads = [threading.Thread(target=listen, args=(i,)) for i in range(len(good))]
            for thread in threads:
                thread.start()
            resident_kib = server.resident_kib()
            for i in range(count):
                reached = publisher.ask("PUBLISH", "flood", text)
                if i % 50 == 0:  # those that read keep up
                    wait_until(lambda: min(got) > i - 100)
            for thread in threads:
                thread.join()
            self.assertEqual(got, [count] * len(good))
            self.assertEqual(reached, len(good))
            # Each slow one held its bound at most, and a buffer grows by doubling.
            self.assertLess(server.resident_peak_kib() - resident_kib, (len(slow) + len(good)) * 2 * 4 * 1024 + 64 * 1024)
            info = redis.Redis(port=server.port).info("nuthatch")
            self.assertEqual(info["subscribers_cut"], len(slow))
            self.assertIn("a subscriber was cut", server.log)
            for wire in slow + good + [publisher]:
                wire.close()

    def test_what_is_published_faster_than_it_can_be_told_arrives_whole(self):
        # No subscriber is cut, however slowly it gets to read.
        with Nuthatch("cache", "--memory", "16M", "--threads", "2", "--connection-buffer", "64M",
                      environment=FREED_IS_GONE) as server:
            subscribers = [Wire(server.port, ("SUBSCRIBE", "flood")) for _ in range(8)]
            text, count = b"x" * 50000, 250  # of each publisher, all on its way at once: more than may be untold
            publishers = [Wire(server.port) for _ in range(2)]

            def listen(wire, counts):
                for _ in range(count * len(publishers)):
                    self.assertEqual(wire.read()[2], text)
                    counts.append(1)

            heard = [[] for _ in subscribers]
            threads = [threading.Thread(target=listen, args=pair, daemon=True) for pair in zip(subscribers, heard)]
            threads += [threading.Thread(target=wire.socket.sendall, args=[command("PUBLISH", "flood", text) * count],
                                         daemon=True) for wire in publishers]
            for thread in threads:
                thread.start()
            for wire in publishers:
                self.assertEqual({wire.read() for _ in range(count)}, {len(subscribers)})
            for thread in threads:
                thread.join(4 * PATIENCE_S)
            self.assertEqual([len(counts) for counts in heard], [count * len(publishers)] * len(subscribers))
            for wire in subscribers + publishers:
                wire.close()


class RealRedis(Process):
    def __init__(self):
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="nuthatch-redis-")
        super().__init__(["redis-server", "--port", str(self.port), "--save", "", "--dir", self.folder])
        self.wait_for("Ready to accept connections")

    def __exit__(self, *arguments):
        try:
            super().__exit__(*arguments)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def random_command(choose):
    key = choose.choice("abcd")
    other = choose.choice("abcd")
    number = choose.randint(-20, 100)
    return choose.choice([
        ("SET", key, number), ("SET", key, number, "EX", 1000), ("SET", key, number, "NX"), ("SET", key, "text", "XX"),
        ("SET", key, number, "GET"), ("SET", key, number, "KEEPTTL"), ("GET", key), ("MGET", key, other),
        ("MSET", key, number, other, 1), ("INCR", key), ("DECR", key), ("INCRBY", key, number), ("DECRBY", key, number),
        ("DEL", key, other), ("EXISTS", key), ("EXPIRE", key, 1000), ("EXPIRE", key, -1), ("PEXPIRE", key, 100000, "NX"),
        ("FLUSHDB",), ("SELECT", choose.randint(0, 2)),
        # What may not be there yet.
        ("SETEX", key, 1000, number), ("PSETEX", key, 100000, number), ("SETNX", key, number), ("GETSET", key, number),
        ("GETDEL", key), ("GETEX", key, "EX", 1000), ("GETEX", key, "PERSIST"), ("APPEND", key, "1"),
        ("SETRANGE", key, 1, "7"), ("SETRANGE", key, 1, ""), ("SETBIT", key, 9, 1), ("MSETNX", key, 1, other, 2),
        ("INCRBYFLOAT", key, "1.5"), ("PERSIST", key), ("EXPIREAT", key, 4000000000), ("UNLINK", key, other),
        ("RENAME", key, other), ("RENAMENX", key, other), ("COPY", key, other), ("COPY", key, other, "REPLACE"),
    ])


class Notifications(unittest.TestCase):
    def events(self, wire):
        """Those of what was done before, as [channel, text]."""
        wire.send("PING", "mark")
        events = []
        while (message := wire.read()) != [b"pong", b"mark"]:
            events.append(message[2:])
        return events

    def test_events_are_those_of_redis(self):
        for letters in "KEA", "KE$", "Eg", "KEAm", "A", "K$m":
            self.compare(letters, random.Random(letters))

    def compare(self, letters, choose):
        with Nuthatch("cache", "--memory", "16M", "--threads", "1", "--notify-keyspace-events", letters) as server, \
             RealRedis() as real:
            subprocess.run(["redis-cli", "-p", str(real.port), "CONFIG", "SET", "notify-keyspace-events", letters],
                           check=True, stdout=subprocess.DEVNULL)
            ours, theirs = Wire(server.port), Wire(real.port)
            our_ear, their_ear = Wire(server.port, ("PSUBSCRIBE", "__key*")), Wire(real.port, ("PSUBSCRIBE", "__key*"))
            unknown, told_count = set(), 0
            for i in range(1500):
                words = random_command(choose)
                if words[0] in unknown:
                    continue
                our_answer = ours.ask(*words)
                if isinstance(our_answer, bytes) and our_answer.startswith(b"ERR unknown command"):
                    unknown.add(words[0])
                    continue
                their_answer = theirs.ask(*words)
                self.assertEqual(our_answer, their_answer, words)
                their_events = self.events(their_ear)
                self.assertEqual(self.events(our_ear), their_events, (i, words, letters))
                told_count += len(their_events)
            self.assertEqual(told_count > 0, letters != "A")
            for wire in ours, theirs, our_ear, their_ear:
                wire.close()

    def test_an_unknown_letter_is_refused(self):
        server = Process([BINARY, "cache", "--notify-keyspace-events", "KQ"])
        self.assertEqual(server.wait(), 2)
        self.assertIn("KQ", server.log)

    def test_expired_keys_are_told(self):
        with Nuthatch("cache", "--memory", "16M", "--threads", "2", "--notify-keyspace-events", "Ex") as server:
            ear = Wire(server.port, ("SUBSCRIBE", "__keyevent@1__:expired"))
            client = redis.Redis(port=server.port, db=1)
            names = {f"brief:{i}".encode() for i in range(200)}
            for name in names:
                client.set(name, "x", px=random.randint(1, 300))
                client.set(name + b":lasting", "x")
            self.assertEqual({ear.read()[2] for _ in names}, names)
            # One that is found expired by a write.
            client.set("again", "x", px=1)
            time.sleep(0.01)
            client.set("again", "y")
            self.assertEqual(ear.read()[2], b"again")
            ear.send("PING")
            self.assertEqual(ear.read(), [b"pong", b""])
            ear.close()

    def test_evicted_keys_are_told_and_a_flood_of_them_is_bounded(self):
        with Nuthatch("cache", "--memory", "4M", "--threads", "2", "--notify-keyspace-events", "Ee") as server:
            ear = Wire(server.port, ("SUBSCRIBE", "__keyevent@0__:evicted"))
            client = redis.Redis(port=server.port)
            for first in range(0, 20000, 500):
                pipeline = client.pipeline(transaction=False)
                for i in range(first, first + 500):
                    pipeline.set(f"key:{i}", b"x" * 1000)
                pipeline.execute()
            info = client.info()
            told = set()
            for _ in range(info["evicted_keys"] - info["notifications_lost"]):
                told.add(ear.read()[2])
            self.assertGreater(len(told), 10000)
            self.assertTrue(all(name.startswith(b"key:") for name in told))
            ear.close()


if __name__ == "__main__":
    unittest.main()
