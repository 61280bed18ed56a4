"""The administrator's view over two workers: who is connected, what is run, what was slow, and pauses."""
import shutil, socket, subprocess, threading, time, unittest

import redis

from harness import Nuthatch


def connect(port):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    return s


def say(s, line):
    words = line.split()
    s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))


def ask(s, line):
    say(s, line)
    return s.recv(65536)


class Admin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Nuthatch("cache", "--memory", "64M", "--threads", "2", "--latency-monitor-threshold", "1",
                              "--slowlog-log-slower-than", "0", "--slowlog-max-len", "20")
        cls.port = cls.server.port
        cls.client = redis.Redis(port=cls.port, decode_responses=True)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        status = cls.server.stop()
        assert status == 0, cls.server.log

    def several(self, count=16):
        """Enough connections that both workers have some, by chance of 1 in 2^15 not."""
        clients = [redis.Redis(port=self.port, decode_responses=True, client_name=f"n{i}") for i in range(count)]
        for client in clients:
            client.ping()
        self.addCleanup(lambda: [client.close() for client in clients])
        return clients

    def test_all_workers_clients_are_listed(self):
        clients = self.several()
        ids = {client.client_id() for client in clients}
        rows = {int(row["id"]): row for row in self.client.client_list()}
        self.assertLessEqual(ids, set(rows))
        for i, client in enumerate(clients):
            row = rows[client.client_id()]
            self.assertEqual(row["name"], f"n{i}")
            self.assertEqual(row["cmd"], "client|id")
            self.assertEqual(row["db"], "0")
            self.assertRegex(row["addr"], r"^127\.0\.0\.1:\d+$")
        clients[0].execute_command("GET", "x")
        row, = self.client.client_list(client_id=[str(clients[0].client_id())])
        self.assertEqual(row["name"], "n0")
        self.assertLessEqual(ids, {int(row["id"]) for row in self.client.client_list(_type="normal")})
        self.assertEqual(self.client.client_list(_type="pubsub"), [])

    def test_who_sleeps_sleeps_alone(self):
        sleeper, other = connect(self.port), connect(self.port)
        begun = time.monotonic()
        sleeper.sendall(b"DEBUG SLEEP 0.3\r\nPING\r\n")
        self.assertEqual(ask(other, "PING"), b"+PONG\r\n")
        said = b""
        while len(said) < len(b"+OK\r\n+PONG\r\n"):
            said += sleeper.recv(100)
        self.assertEqual(said, b"+OK\r\n+PONG\r\n")
        self.assertGreaterEqual(time.monotonic() - begun, 0.3)
        sleeper.close()
        other.close()

    def test_a_client_of_another_worker_is_killed(self):
        for client in self.several():
            number = client.client_id()
            self.assertEqual(self.client.client_kill_filter(_id=number), 1)
            self.assertEqual(self.client.client_list(client_id=[str(number)]), [])  # no more, as soon as it is answered
            self.assertEqual(self.client.client_kill_filter(_id=number), 0)
            try:
                other = client.client_id()  # redis-py connects anew
            except redis.ConnectionError:  # it asked before it saw that it was cut
                other = client.client_id()
            self.assertNotEqual(other, number)
        victim = connect(self.port)
        ask(victim, "PING")
        self.assertTrue(self.client.client_kill("%s:%d" % victim.getsockname()))
        self.assertEqual(victim.recv(10), b"")
        victim.close()
        with self.assertRaisesRegex(redis.ResponseError, "No such client"):
            self.client.client_kill("1.2.3.4:5")

    def test_clients_kill_each_other_and_die(self):
        """Many at once, of each other: nobody hangs, nobody is left."""
        def fight():
            for _ in range(30):
                s = connect(self.port)
                try:
                    ask(s, "CLIENT SETNAME fighter")
                    for line in ask(s, "CLIENT LIST").decode().splitlines():
                        if "name=fighter" in line:
                            say(s, "CLIENT KILL ID " + line.split()[0][3:])
                except OSError:
                    pass
                s.close()
        threads = [threading.Thread(target=fight) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            self.assertFalse(thread.is_alive())
        self.assertTrue(self.client.ping())

    def test_a_pause_holds_all_workers(self):
        sockets = [connect(self.port) for _ in range(8)]
        for s in sockets:
            ask(s, "PING")
        start = time.monotonic()
        self.assertTrue(self.client.client_pause(400, all=False))
        for s in sockets:
            self.assertEqual(ask(s, "GET nothing"), b"$-1\r\n")
        self.assertLess(time.monotonic() - start, 0.35)
        for s in sockets:
            say(s, "SET k v")
            say(s, "GET k")
        for s in sockets:
            answer = b""
            while len(answer) < 12:
                answer += s.recv(100)
            self.assertEqual(answer, b"+OK\r\n$1\r\nv\r\n")
        self.assertGreaterEqual(time.monotonic() - start, 0.39)
        self.client.client_pause(30000, all=False)
        start = time.monotonic()
        for s in sockets:
            say(s, "SET k w")
        time.sleep(0.1)
        self.client.client_unpause()
        for s in sockets:
            self.assertEqual(s.recv(100), b"+OK\r\n")
            s.close()
        self.assertLess(time.monotonic() - start, 10)

    def test_a_server_that_is_paused_stops(self):
        with Nuthatch("cache", "--memory", "16M", "--threads", "2") as server:
            sockets = [connect(server.port) for _ in range(8)]
            for s in sockets:
                ask(s, "PING")
            self.assertEqual(ask(sockets[0], "CLIENT PAUSE 60000 WRITE"), b"+OK\r\n")
            for s in sockets:
                say(s, "SET k v")
            time.sleep(0.1)
            start = time.monotonic()
            self.assertEqual(server.stop(), 0)
            self.assertLess(time.monotonic() - start, 5)
            for s in sockets:
                self.assertEqual(s.recv(100), b"")
                s.close()

    def test_shutdown_ends_the_process(self):
        server = Nuthatch("cache", "--memory", "16M", "--threads", "2")
        s = connect(server.port)
        say(s, "SHUTDOWN NOSAVE")
        self.assertEqual(s.recv(10), b"")
        s.close()
        self.assertEqual(server.wait(), 0)

    def test_a_monitor_sees_all_workers(self):
        with self.client.monitor() as monitor:
            time.sleep(0.05)
            clients = self.several()
            for i, client in enumerate(clients):
                client.set(f"key{i}", "a\n\"\\\0é")
            seen = set()
            end = time.monotonic() + 20
            while len(seen) < len(clients) and time.monotonic() < end:
                told = monitor.next_command()
                if told["command"].startswith("SET"):
                    self.assertIn("a\\n\"\\\\\\x00\\xc3\\xa9", told["command"])
                    seen.add((told["command"].split()[1], told["client_port"]))
            self.assertEqual(len(seen), len(clients))
            with self.assertRaises(redis.ResponseError):
                self.client.execute_command("AUTH", "someone", "secret")
            self.client.client_list()
            self.client.echo("the end")
            words = []
            while not words or words[-1] != "ECHO the end":
                words.append(monitor.next_command()["command"])
            self.assertIn("AUTH (redacted) (redacted)", words)
            self.assertNotIn("CLIENT LIST", words)

    def test_passwords_are_shown_to_nobody(self):
        """What a real Redis shows of the same commands."""
        with self.client.monitor() as monitor:
            c = self.client
            c.slowlog_reset()
            for words in ("ACL SETUSER mouse on >sesame ~*", "CONFIG SET requirepass sesame", "AUTH default sesame",
                          "HELLO 2 AUTH default sesame SETNAME me", "CONFIG SET maxclients 9000 requirepass sesame",
                          "CONFIG SETT requirepass sesame", "ACL SETUSE mouse >sesame", "CONFIG GET maxclients",
                          "ACL WHOAMI", "CONFIG HELP", "HELLO 2 AUTH mouse sesame", "HELLO 2 AUTH default sesame"):
                try:
                    c.execute_command(*words.split())
                except redis.ResponseError:
                    pass
            shown, slow = [], [row["command"].decode() for row in c.slowlog_get(20)]
            c.execute_command("CONFIG", "SET", "requirepass", "")
            c.execute_command("ACL", "DELUSER", "mouse")
            c.echo("the end")
            while not shown or shown[-1] != "ECHO the end":
                shown.append(monitor.next_command()["command"])
        self.assertNotIn("sesame", repr((shown, slow)))
        self.assertEqual([line for line in shown if line.startswith(("ACL", "CONFIG", "HELLO"))],
                         ["HELLO 2 AUTH (redacted) (redacted) SETNAME me", "CONFIG SETT (redacted) (redacted)",
                          "ACL SETUSE (redacted) (redacted)", "ACL WHOAMI", "CONFIG HELP",
                          "HELLO 2 AUTH (redacted) (redacted)", "HELLO 2 AUTH (redacted) (redacted)"])
        for line in ("ACL SETUSER (redacted) (redacted) (redacted) (redacted)", "AUTH (redacted) (redacted)",
                     "CONFIG SET requirepass (redacted)", "CONFIG SET maxclients 9000 requirepass (redacted)",
                     "CONFIG GET maxclients"):
            self.assertIn(line, slow)

    def test_what_is_slow_is_set_while_the_server_runs(self):
        c = self.client
        pipeline = c.pipeline(transaction=False)  # one batch: what is set counts for what follows
        for words in ("CONFIG SET slowlog-log-slower-than -1", "SLOWLOG RESET", "ECHO 1",
                      "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 3", "ECHO 2", "ECHO 3", "ECHO 4", "ECHO 5"):
            pipeline.execute_command(*words.split())
        pipeline.execute()
        self.assertEqual([row["command"] for row in c.slowlog_get(9)], [b"ECHO 5", b"ECHO 4", b"ECHO 3"])
        c.config_set("slowlog-max-len", 20)

    def test_who_tracks_is_counted(self):
        before = self.client.info()
        clients = [connect(self.port) for _ in range(16)]
        for i, s in enumerate(clients):
            ask(s, "HELLO 3")
            ask(s, f"CLIENT TRACKING ON BCAST PREFIX shared PREFIX of{i % 4}" if i % 2 else "CLIENT TRACKING ON")
            ask(s, f"GET tracked{i % 3}")
        after = self.client.info()
        self.assertEqual([after[name] - before[name] for name in
                          ("tracking_clients", "tracking_total_keys", "tracking_total_items", "tracking_total_prefixes")],
                         [16, 3, 8, 3])
        for s in clients:
            s.close()
        end = time.monotonic() + 20
        while self.client.info()["tracking_clients"] != before["tracking_clients"] and time.monotonic() < end:
            time.sleep(0.02)
        after = self.client.info()
        self.assertEqual((after["tracking_clients"], after["tracking_total_prefixes"]),
                         (before["tracking_clients"], before["tracking_total_prefixes"]))

    def test_who_shall_not_touch_is_listed(self):
        s = connect(self.port)
        ask(s, "CLIENT NO-TOUCH ON")
        self.assertIn(b" flags=T ", ask(s, "CLIENT INFO"))
        ask(s, "RESET")
        self.assertIn(b" flags=N ", ask(s, "CLIENT INFO"))
        s.close()

    def test_a_monitor_that_does_not_read_is_cut(self):
        with Nuthatch("cache", "--memory", "16M", "--value-max", "64K", "--connection-buffer", "128K") as server:
            monitor = connect(server.port)
            monitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ask(monitor, "MONITOR")
            client = redis.Redis(port=server.port)
            for _ in range(2000):
                client.set("k", "v" * 8000)
            server.wait_for("a connection was cut")
            self.assertTrue(client.ping())
            self.assertEqual([row["cmd"] for row in client.client_list()], ["client|list"])
            client.close()
            monitor.close()

    def test_the_slow_log(self):
        c = self.client
        self.assertTrue(c.slowlog_reset())
        c.execute_command("SET", "slow", "x" * 200)
        c.execute_command("MGET", *[f"k{i}" for i in range(40)])
        rows = c.slowlog_get(3)
        for row in rows:
            row["command"] = row["command"].decode()
        words = rows[0]["command"].split()
        self.assertEqual(words[:2], ["MGET", "k0"])
        self.assertTrue(rows[0]["command"].endswith("k29 ... (10 more arguments)"), rows[0])
        self.assertEqual(rows[1]["command"], "SET slow " + "x" * 128 + "... (72 more bytes)")
        self.assertGreater(rows[0]["id"], rows[1]["id"])
        self.assertLess(abs(rows[0]["start_time"] - time.time()), 5)
        self.assertLess(rows[0]["duration"], 1000000)
        for _ in range(50):
            c.ping()
        self.assertEqual(c.slowlog_len(), 20)
        self.assertEqual(len(c.execute_command("SLOWLOG", "GET", "-1")), 20)

    def test_slow_commands_are_events(self):
        c = self.client
        c.execute_command("LATENCY", "RESET")
        pipeline = c.pipeline(transaction=False)
        pipeline.mset({f"latency{i}": "x" for i in range(60000)})
        pipeline.execute()
        name, _, latest_ms, longest_ms = c.execute_command("LATENCY", "LATEST")[0]
        self.assertIn(name, ("command", "fast-command"))
        self.assertTrue(1 <= latest_ms <= longest_ms)
        self.assertGreaterEqual(len(c.execute_command("LATENCY", "HISTORY", name)), 1)
        self.assertIn("high", c.execute_command("LATENCY", "GRAPH", name))
        self.assertIn("seconds with one", c.execute_command("LATENCY", "DOCTOR"))
        histogram = c.execute_command("LATENCY", "HISTOGRAM", "mset")
        self.assertEqual(histogram[0], "mset")
        c.flushall()

    def test_info_counts_calls_and_errors(self):
        c = self.client
        before = c.info("everything")
        for _ in range(100):
            c.get("absent")
        with self.assertRaises(redis.ResponseError):
            c.execute_command("GET")
        c.set("text", "abc")
        with self.assertRaises(redis.ResponseError):
            c.execute_command("INCR", "text")
        after = c.info("everything")
        calls = lambda info, name: info.get(f"cmdstat_{name}", {"calls": 0, "rejected_calls": 0, "failed_calls": 0})
        self.assertEqual(calls(after, "get")["calls"] - calls(before, "get")["calls"], 100)
        self.assertEqual(calls(after, "get")["rejected_calls"] - calls(before, "get")["rejected_calls"], 1)
        self.assertEqual(calls(after, "incr")["failed_calls"] - calls(before, "incr")["failed_calls"], 1)
        self.assertGreater(calls(after, "get")["usec"], 0)
        self.assertEqual(after["total_error_replies"] - before["total_error_replies"], 2)
        self.assertRegex(str(after["errorstat_ERR"]), r"^count=\d+$")
        self.assertIn("latency_percentiles_usec_get", after)
        self.assertGreater(after["used_cpu_user"], 0)
        self.assertEqual(c.info("replication")["role"], "master")
        self.assertNotIn("cmdstat_get", c.info())

    def test_operations_per_second(self):
        with Nuthatch("cache", "--memory", "16M") as server:
            client = redis.Redis(port=server.port)
            end, rate = time.time() + 10, 0
            while rate < 50 and time.time() < end:
                for _ in range(20):
                    client.get("k")
                rate = client.info("stats")["instantaneous_ops_per_sec"]
            self.assertGreaterEqual(rate, 50)
            client.close()

    @unittest.skipUnless(shutil.which("redis-cli"), "needs redis-cli")
    def test_redis_cli(self):
        cli = ["redis-cli", "-p", str(self.port)]
        run = lambda *words: subprocess.run([*cli, *words], capture_output=True, text=True, timeout=20).stdout
        self.assertIn("db0" if self.client.dbsize() else "# Keyspace", run("info", "keyspace"))
        self.assertRegex(run("client", "list"), r"id=\d+ addr=")
        process = subprocess.Popen([*cli, "monitor"], stdout=subprocess.PIPE, text=True)
        self.assertEqual(process.stdout.readline(), "OK\n")
        self.client.echo("seen by redis-cli")
        while "seen by redis-cli" not in process.stdout.readline():
            pass
        process.terminate()
        process.stdout.close()
        process.wait()
        process = subprocess.Popen([*cli, "--stat", "-i", "0.1"], stdout=subprocess.PIPE, text=True)
        lines = [process.stdout.readline() for _ in range(4)]
        self.assertIn("keys", lines[1])
        self.assertRegex(lines[3], r"^\d+ +\d")
        process.terminate()
        process.stdout.close()
        process.wait()


if __name__ == "__main__":
    unittest.main()
