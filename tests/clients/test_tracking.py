"""Client-side caching: scripted conversations of several connections, compared byte for byte with a real Redis, on
one worker and on two; and what a comparison cannot say: nobody keeps a stale value, and memory is bounded."""
import re, select, socket, time, unittest

from harness import FREED_IS_GONE, Nuthatch, PATIENCE_S, Process, fetch, free_port

QUIET_S = 0.1  # how long a real Redis is listened to after each step has been answered
LATE_S = 10  # how long the same is waited for elsewhere


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.received = b""
        self.id = int(self.ask("CLIENT ID")[1:])

    def send(self, line):
        self.socket.sendall(line.encode() + b"\r\n")

    def ask(self, line):
        """For an answer of one line."""
        self.send(line)
        while b"\r\n" not in self.received:
            self.received += self.socket.recv(65536)
        answer, self.received = self.received.split(b"\r\n", 1)
        return answer

    def close(self):
        self.socket.close()


# Each step: who sends what ("a: GET k"; several lines with | in one packet; {b} is b's id), "a: !" closes.
SCENARIOS = {
    "a value that was read is told once": """
        a: HELLO 3
        a: CLIENT TRACKING ON
        a: GET k
        b: SET k 1
        b: SET k 2
        a: GET k
        b: SET k 2
        b: DEL k
        a: MGET k l
        b: MSET l 1 k 1
        a: EXISTS k
        b: EXPIRE k 100
        a: TTL k
        b: DEL nokey
        b: SET k 1 NX
        b: INCR k""",
    "one's own writes are told behind the answer": """
        a: HELLO 3
        a: CLIENT TRACKING ON
        a: GET k
        a: SET k 1 | PING
        a: GET k
        a: SET k 2 | GET k
        a: SET k 3 | SET k 4
        a: MGET k l m
        a: MSET k 1 m 2 l 3 | PING
        a: MGET k l m
        a: DEL m l | PING""",
    "a transaction is told behind its end": """
        a: HELLO 3
        a: CLIENT TRACKING ON
        a: MULTI
        a: GET k
        a: SET k 1
        a: GET k
        a: EXEC
        b: SET k 1
        a: MULTI | SET k 2 | GET k | GET l | EXEC | PING
        b: MSET k 2 l 1""",
    "noloop": """
        a: HELLO 3
        a: CLIENT TRACKING ON NOLOOP
        a: GET k
        a: SET k 1
        b: SET k 2
        a: GET k
        b: SET k 2""",
    "optin": """
        a: HELLO 3
        a: CLIENT TRACKING ON OPTIN
        a: GET k
        b: SET k 1
        a: CLIENT CACHING YES
        a: GET k
        b: SET k 2
        a: CLIENT CACHING YES
        a: PING
        a: GET k
        b: SET k 3
        a: CLIENT CACHING YES
        a: CLIENT GETNAME
        a: GET k
        b: SET k 4
        a: CLIENT CACHING YES
        a: NOSUCH
        a: GET k
        b: SET k 5
        a: CLIENT CACHING YES
        a: MULTI
        a: GET k
        a: GET l
        a: EXEC
        b: MSET k 6 l 1
        a: GET k
        b: SET k 7
        a: CLIENT CACHING YES
        a: MULTI
        a: DISCARD
        a: GET k
        b: SET k 8""",
    "optout": """
        a: HELLO 3
        a: CLIENT TRACKING ON OPTOUT
        a: GET k
        b: SET k 1
        a: CLIENT CACHING NO
        a: GET k
        b: SET k 2
        a: GET k
        b: SET k 2""",
    "broadcast": """
        a: HELLO 3
        a: CLIENT TRACKING ON BCAST PREFIX u: PREFIX v:
        b: SET u:1 1
        b: SET w:1 1
        b: SET v:1 1
        b: MSET v:2 1 u:3 1 u:2 2 w:2 1 u:2 3
        a: SET u:1 1 | PING
        a: MULTI | SET u:1 1 | GET u:1 | EXEC | PING
        b: SET u 1
        b: DEL u:1 u:nokey
        a: CLIENT TRACKING OFF
        b: SET u:1 2""",
    "broadcast of everything, and noloop": """
        a: HELLO 3
        b: HELLO 3
        a: CLIENT TRACKING ON BCAST
        b: CLIENT TRACKING ON BCAST NOLOOP
        b: SET k 1
        a: SET k 1
        a: SET k 1 | SET l 1
        c: SET b 1 | SET c 1 | SET a 1
        b: SET k 1 | PING
        b: CLIENT TRACKINGINFO""",
    "flushes": """
        a: HELLO 3
        b: HELLO 3
        a: CLIENT TRACKING ON
        b: CLIENT TRACKING ON BCAST PREFIX x
        a: GET k
        c: SET k 1
        a: GET k
        c: FLUSHDB
        c: SET k 1
        a: GET k
        a: FLUSHALL | PING
        c: SELECT 3
        c: FLUSHALL
        a: GET k
        c: SET k 1""",
    "redirected to RESP3": """
        a: HELLO 3
        b: HELLO 3
        a: CLIENT TRACKING ON REDIRECT {b}
        a: GET k
        c: SET k 1
        a: GET k
        a: SET k 2
        a: GET k
        c: SET k 2
        c: FLUSHALL
        a: GET k
        b: !
        c: SET k 3
        a: CLIENT TRACKINGINFO
        a: GET k
        c: SET k 3
        a: CLIENT TRACKING ON
        a: CLIENT TRACKINGINFO
        a: GET k
        c: SET k 3""",
    "redirected from RESP2": """
        b: HELLO 3
        a: CLIENT TRACKING ON REDIRECT {b}
        a: GET k
        c: SET k 1
        a: GET k
        b: !
        c: SET k 1
        a: CLIENT TRACKINGINFO""",
    "redirected to a subscriber": """
        b: SUBSCRIBE __redis__:invalidate
        a: CLIENT TRACKING ON REDIRECT {b} BCAST PREFIX k
        c: SET k 1
        c: MSET k1 1 k2 1 l 1
        c: FLUSHALL
        b: UNSUBSCRIBE
        c: SET k 1""",
    "redirected by readers to a subscriber": """
        b: SUBSCRIBE __redis__:invalidate
        a: CLIENT TRACKING ON REDIRECT {b}
        d: CLIENT TRACKING ON REDIRECT {b}
        a: GET k
        c: SET k 1
        d: GET k
        d: SET k 1""",
    "RESP2 alone is told nothing": """
        a: CLIENT TRACKING ON
        a: GET k
        b: SET k 1
        a: GET k
        a: SET k 1
        b: FLUSHALL
        a: HELLO 3
        a: GET k
        b: SET k 1
        a: RESET
        a: CLIENT TRACKINGINFO
        b: SET k 1""",
    "off, and on again": """
        a: HELLO 3
        a: CLIENT TRACKING ON
        a: GET k
        a: CLIENT TRACKING OFF
        b: SET k 1
        a: CLIENT TRACKING ON
        a: GET k
        b: SET k 1
        a: GET k
        a: RESET
        a: HELLO 3
        b: SET k 1""",
    "keys of one name are one": """
        a: HELLO 3
        a: SELECT 2
        a: CLIENT TRACKING ON
        a: GET k
        b: SELECT 3
        b: SET k 1""",
    "answers that are left out": """
        a: HELLO 3
        a: CLIENT TRACKING ON
        a: GET k
        a: CLIENT REPLY OFF
        b: SET k 1
        b: SET k 2
        a: CLIENT REPLY ON""",
}


def without_ids(received):
    """Ids are every server's own."""
    return {name: re.sub(rb"(redirect|redir-broken|id)\r\n:[1-9]\d*", rb"\1\r\n:<id>", text)
            for name, text in received.items()}


def play(port, script, wanted=None):
    """Returns what each connection received after each step. `wanted`: as it was elsewhere, which is waited for."""
    connections, answers = {}, []
    for step, line in enumerate(filter(None, map(str.strip, script.split("\n")))):
        for name in re.findall(r"^(\w):|\{(\w)\}", line):
            name = name[0] or name[1]
            if name not in connections:
                connections[name] = Connection(port)
        who, words = line.split(": ", 1)
        if words == "!":
            connections.pop(who).close()
            time.sleep(QUIET_S)  # its end is noticed in the server's own time
        else:
            ids = {name: one.id for name, one in connections.items()}
            connections[who].send(words.format(**ids).replace(" | ", "\r\n"))
        received = {name: b"" for name in connections}
        is_answered = words != "!" and "REPLY OFF" not in words
        end = time.time() + (LATE_S if wanted or is_answered else QUIET_S)
        while time.time() < end and not (wanted and without_ids(received) == wanted[step][1]):
            for ready in select.select([one.socket for one in connections.values()], [], [], QUIET_S)[0]:
                for name, one in connections.items():
                    if one.socket is ready:
                        received[name] += ready.recv(65536)
                        if not wanted and name == who:
                            end = time.time() + QUIET_S
        answers.append((line, without_ids(received)))
        if wanted and answers[step] != wanted[step]:
            break
    time.sleep(QUIET_S)
    for name, one in connections.items():
        if select.select([one.socket], [], [], 0)[0]:
            answers.append(("at the end", {name: one.socket.recv(65536)}))
        one.close()
    return answers


class LikeRedis(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.redis_port = free_port()
        cls.redis = Process(["redis-server", "--port", str(cls.redis_port), "--save", "", "--bind", "127.0.0.1"])
        cls.redis.wait_for("Ready to accept connections")
        cls.spoken = {}
        for title, script in SCENARIOS.items():
            one = Connection(cls.redis_port)
            one.ask("FLUSHALL")
            one.close()
            cls.spoken[title] = play(cls.redis_port, script)

    @classmethod
    def tearDownClass(cls):
        cls.redis.stop()

    def compare(self, threads, rounds):
        with Nuthatch("cache", "--memory", "64M", "--threads", str(threads)) as server:
            for _ in range(rounds):
                for title, script in SCENARIOS.items():
                    with self.subTest(title, threads=threads):
                        one = Connection(server.port)
                        one.ask("FLUSHALL")
                        one.close()
                        wanted = self.spoken[title]
                        self.assertEqual(play(server.port, script, wanted), wanted)

    def test_on_one_worker(self):
        self.compare(1, 1)

    def test_on_two_workers(self):
        self.compare(2, 4)  # connections fall to either worker


class OtherWriters(unittest.TestCase):
    def test_writes_over_http_are_told(self):
        with Nuthatch("cache", "--memory", "64M", "--threads", "2",
                      listen=["tcp://127.0.0.1:0", "kv+http://127.0.0.1:0"]) as server:
            readers = []
            for mode in ("ON", "ON BCAST PREFIX k"):
                one = Connection(server.port)
                one.socket.sendall(b"HELLO 3\r\nCLIENT TRACKING %s\r\nPING\r\n" % mode.encode())
                self.receive(one, b"PONG\r\n")
                readers.append(one)
            readers[0].socket.sendall(b"GET k\r\nPING\r\n")
            self.receive(readers[0], b"PONG\r\n")
            fetch(server.ports[1], "/keys/k", "PUT", b"v")
            for one in readers:
                self.receive(one, b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n")
            for one in readers:
                one.close()

    def receive(self, connection, wanted):
        connection.socket.settimeout(LATE_S)
        while not connection.received.endswith(wanted):
            connection.received += connection.socket.recv(65536)
        connection.received = b""


class Bounds(unittest.TestCase):
    def test_beyond_the_bound_keys_are_told_as_if_they_had_changed(self):
        with Nuthatch("cache", "--memory", "64M", "--tracking-table-max-keys", "1000") as server:
            one = Connection(server.port)
            one.socket.sendall(b"CLIENT TRACKING ON\r\nHELLO 3\r\n" + b"".join(b"GET key%d\r\n" % i for i in range(5000)))
            told = self.keys_told(one, b"_\r\n", 5000)
            self.assertEqual(len(told), 4000)
            self.assertEqual(len(set(told)), 4000)
            other = Connection(server.port)  # the others are told once they have changed
            other.socket.sendall(b"".join(b"SET key%d 1\r\n" % i for i in range(5000)))
            told += self.keys_told(one, b">2\r\n", 1000)
            self.assertEqual(sorted(told), sorted(b"key%d" % i for i in range(5000)))
            one.close()
            other.close()

    def keys_told(self, connection, mark, count):
        received = b""
        while received.count(mark) < count or not received.endswith(b"\r\n"):
            received += connection.socket.recv(1 << 20)
        time.sleep(QUIET_S)
        while select.select([connection.socket], [], [], 0)[0]:
            received += connection.socket.recv(1 << 20)
        return re.findall(rb"invalidate\r\n\*1\r\n\$\d+\r\n(\w+)", received)

    def test_readers_that_end_are_forgotten(self):
        with Nuthatch("cache", "--memory", "64M", "--threads", "2", environment=FREED_IS_GONE) as server:
            def read(i):
                one = Connection(server.port)
                one.send("HELLO 3\r\nCLIENT TRACKING ON")
                one.socket.sendall(b"".join(b"GET %d-%d-%s\r\n" % (i, j, b"x" * 100) for j in range(1000)))
                received = b""
                while received.count(b"_\r\n") < 1000:
                    received += one.socket.recv(1 << 20)
                one.close()

            for i in range(20):
                read(i)
            before = server.resident_kib()
            for i in range(100):
                read(i)
            self.assertLess(server.resident_kib() - before, 10000)  # not 25 MB


if __name__ == "__main__":
    unittest.main()
