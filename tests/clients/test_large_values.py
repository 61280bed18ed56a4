"""Values that are sent from where they lie: whole whatever else happens to them, and let go of when a client is slow."""
import hashlib, os, random, socket, threading, time, unittest

import redis
from pymemcache.client.base import Client as Memcache

from harness import Nuthatch

LOOPS = ("uring", "epoll")
SIZES = (16383, 16384, 32767, 32768, 65536, 200_000, 1 << 20, 3_000_001, 8 << 20)


def pinned_bytes(r):
    return int(r.execute_command("INFO", "memory")["pinned_bytes"])


def signed(size):
    """Random bytes that tell whether they are whole."""
    body = random.randbytes(size - 32)
    return hashlib.sha256(body).digest() + body


def is_whole(value):
    return value[:32] == hashlib.sha256(value[32:]).digest()


class LargeValues(unittest.TestCase):
    def test_every_command_that_says_them_says_them_whole(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--loop", loop, "--threads", "2", "--memory", "256M") as server:
                r = redis.Redis(port=server.port)
                m = Memcache(("127.0.0.1", server.port))
                values = {f"k{size}": signed(size) for size in SIZES}
                for key, value in values.items():
                    r.set(key, value)
                for key, value in values.items():
                    self.assertTrue(r.get(key) == value, key)
                    self.assertTrue(m.get(key) == value, key)
                    self.assertTrue(m.gets(key)[0] == value, key)
                keys = [*values, "absent", *values]
                got = r.mget(keys)
                for key, value in zip(keys, got):
                    self.assertTrue(value == values.get(key), key)
                got = m.get_many(keys)
                self.assertEqual(got.keys(), values.keys())
                for key, value in got.items():
                    self.assertTrue(value == values[key], key)
                with r.pipeline(transaction=False) as pipeline:
                    for key in keys:
                        pipeline.get(key).exists(key)
                    for i, value in enumerate(pipeline.execute()[::2]):
                        self.assertTrue(value == values.get(keys[i]), keys[i])
                _, cas = m.gets("k65536")
                self.assertTrue(m.cas("k65536", b"changed", cas))
                m.close()
                self.assertEqual(pinned_bytes(r), 0)
                r.close()

    def test_they_stay_whole_while_they_are_overwritten_and_evicted(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--loop", loop, "--threads", "2", "--memory", "64M") as server:
                stop, wrong, read_count = threading.Event(), [], [0]

                def write():
                    r = redis.Redis(port=server.port)
                    while not stop.is_set():
                        r.set(f"k{random.randrange(100)}", signed(random.choice(SIZES[:-1])))
                    r.close()

                def read():
                    r = redis.Redis(port=server.port)
                    while not stop.is_set():
                        value = r.get(f"k{random.randrange(100)}")
                        if value is not None:
                            read_count[0] += 1
                            if not is_whole(value):
                                wrong.append(len(value))
                    r.close()

                threads = [threading.Thread(target=f) for f in (write, write, read, read, read)]
                for t in threads:
                    t.start()
                time.sleep(3)
                stop.set()
                for t in threads:
                    t.join()
                self.assertEqual(wrong, [])
                self.assertGreater(read_count[0], 20)

    def test_a_slow_reader_pins_nothing_for_long_and_still_gets_what_it_asked_for(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--loop", loop, "--threads", "1", "--memory", "256M") as server:
                r = redis.Redis(port=server.port)
                value = signed(16 << 20)
                r.set("k", value)
                slow = []
                for _ in range(4):
                    s = socket.socket()
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    s.connect(("127.0.0.1", server.port))
                    s.sendall(b"GET k\r\n")
                    slow.append(s)
                end = time.time() + 30
                while pinned_bytes(r) == 0:
                    self.assertLess(time.time(), end, "nothing was ever lent")
                while pinned_bytes(r) > 0:
                    self.assertLess(time.time(), end)
                    time.sleep(0.05)
                r.set("k", b"another")
                for s in slow:
                    file = s.makefile("rb")
                    self.assertEqual(file.readline(), b"$16777216\r\n")
                    self.assertTrue(file.read(16 << 20) == value)
                    self.assertEqual(file.read(2), b"\r\n")
                    s.sendall(b"GET k\r\n")
                    self.assertEqual(file.readline(), b"$7\r\n")
                    file.close()
                    s.close()
                r.close()

    def test_a_reader_that_goes_away_lets_go(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--loop", loop, "--threads", "1", "--memory", "256M") as server:
                r = redis.Redis(port=server.port)
                r.set("k", signed(16 << 20))
                s = socket.create_connection(("127.0.0.1", server.port))
                s.sendall(b"GET k\r\n")
                end = time.time() + 30
                while pinned_bytes(r) == 0:
                    self.assertLess(time.time(), end, "nothing was ever lent")
                s.close()
                while pinned_bytes(r) > 0:
                    self.assertLess(time.time(), end)
                r.close()


if __name__ == "__main__":
    unittest.main()
