"""Warm restart: what comes back with --persist, what must not, and files that are not what they should be."""
import os, pwd, re, shutil, signal, socket, stat, subprocess, tempfile, time, unittest

from harness import BINARY, Nuthatch, Origin, fetch, raw


def ask(port, text, wanted):
    """Sends a command of either protocol and returns the answer, whose end is known."""
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(text)
        received = b""
        while not received.endswith(wanted):
            piece = s.recv(65536)
            if not piece:
                break
            received += piece
        return received


def resp(port, *words):
    """One command; the first line of its answer, or the bytes of a string."""
    text = b"*%d\r\n" % len(words)
    for word in words:
        text += b"$%d\r\n%s\r\n" % (len(word), word)
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(text)
        stream = s.makefile("rb")
        line = stream.readline().rstrip(b"\r\n")
        if line.startswith(b"$") and line != b"$-1":
            return stream.read(int(line[1:]))
        return line


class Restarts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="nuthatch-restart-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.path = f"{self.folder}/values"

    def cache(self, *arguments):
        return Nuthatch("cache", "--threads", "2", "--memory", "16M", "--persist", self.path, *arguments)

    def files(self):
        return sorted(os.listdir(self.folder))

    def refused(self, *arguments):
        """What a server says that ends with status 1 instead of starting."""
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        return done.stderr


class Values(Restarts):
    def test_values_flags_and_the_rest_of_their_lives_come_back(self):
        large = os.urandom(1_500_000)
        with self.cache() as server:
            self.assertIn(f"no values to restore: there is no {self.path} yet", server.log)
            resp(server.port, b"SET", b"plain", b"one")
            resp(server.port, b"SET", b"timed", b"two", b"PX", b"100000")
            resp(server.port, b"SET", b"brief", b"three", b"PX", b"1200")
            resp(server.port, b"SET", b"large", large)
            self.assertEqual(ask(server.port, b"set flagged 4321 0 4\r\nfour\r\n", b"\r\n"), b"STORED\r\n")
        self.assertIn(f"saved 5 values to {self.path}", server.log)
        self.assertEqual(self.files(), ["values"])
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)
        time.sleep(1.3)
        with self.cache() as server:
            self.assertIn(f"restored 4 values from {self.path}", server.log)
            self.assertEqual(self.files(), [])
            self.assertEqual(resp(server.port, b"GET", b"plain"), b"one")
            self.assertEqual(resp(server.port, b"TTL", b"plain"), b":-1")
            self.assertEqual(resp(server.port, b"GET", b"timed"), b"two")
            left_ms = int(resp(server.port, b"PTTL", b"timed")[1:])
            self.assertTrue(30000 < left_ms < 98700, left_ms)
            self.assertEqual(resp(server.port, b"GET", b"brief"), b"$-1")
            self.assertEqual(resp(server.port, b"GET", b"large"), large)
            self.assertEqual(ask(server.port, b"get flagged\r\n", b"END\r\n"),
                             b"VALUE flagged 4321 4\r\nfour\r\nEND\r\n")
            resp(server.port, b"SET", b"plain", b"newer")
        with self.cache() as server:
            self.assertEqual(resp(server.port, b"GET", b"plain"), b"newer")
            self.assertEqual(resp(server.port, b"DBSIZE"), b":4")

    def test_databases_are_kept_apart(self):
        with self.cache() as server:
            raw(server.port, b"SELECT 3\r\nSET key three\r\nSELECT 0\r\nSET key zero\r\nQUIT\r\n")
        with self.cache() as server:
            self.assertIn(b"\r\nthree\r\n", raw(server.port, b"SELECT 3\r\nGET key\r\nQUIT\r\n"))
            self.assertEqual(resp(server.port, b"GET", b"key"), b"zero")

    def test_databases_that_changed_places_stay_there(self):
        with self.cache() as server:
            raw(server.port, b"SET key zero\r\nSELECT 3\r\nSET key three\r\nSWAPDB 0 3\r\nSWAPDB 0 1\r\nQUIT\r\n")
        for _ in range(2):
            with self.cache() as server:
                self.assertEqual(raw(server.port, b"GET key\r\nSELECT 1\r\nGET key\r\nSELECT 3\r\nGET key\r\nQUIT\r\n"),
                                 b"$-1\r\n+OK\r\n$5\r\nthree\r\n+OK\r\n$4\r\nzero\r\n+OK\r\n")
                self.assertIn("restored 2 values", server.log)

    def test_a_store_of_another_size_takes_what_fits(self):
        with self.cache() as server:
            for i in range(8):
                resp(server.port, b"SET", b"key%d" % i, bytes(1_000_000))
        with Nuthatch("cache", "--memory", "4M", "--persist", self.path) as server:
            count = int(re.search(r"restored (\d+) values", server.log).group(1))
            self.assertTrue(1 <= count < 8, count)
            self.assertEqual(resp(server.port, b"SET", b"new", b"value"), b"+OK")

    def test_interrupt_saves_as_terminate_does(self):
        server = self.cache()
        resp(server.port, b"SET", b"key", b"value")
        self.assertEqual(server.stop(signal.SIGINT), 0)
        with self.cache() as server:
            self.assertEqual(resp(server.port, b"GET", b"key"), b"value")

    def test_a_killed_server_leaves_nothing_and_nothing_older_comes_back(self):
        with self.cache() as server:
            resp(server.port, b"SET", b"key", b"old")
        server = self.cache()
        self.assertEqual(resp(server.port, b"GET", b"key"), b"old")
        resp(server.port, b"DEL", b"key")
        server.stop(signal.SIGKILL)
        self.assertEqual(self.files(), [])
        with self.cache() as server:
            self.assertIn("no values to restore", server.log)
            self.assertEqual(resp(server.port, b"GET", b"key"), b"$-1")

    def test_a_second_signal_saves_nothing(self):
        origin = Origin(lambda request: time.sleep(60))
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--persist", self.path, "--drain-timeout", "1m",
                          listen="http://127.0.0.1:0")
        with socket.create_connection(("127.0.0.1", server.port), 30) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            while origin.count() == 0:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("stopping")
            self.assertEqual(server.stop(signal.SIGTERM), 1)
        self.assertEqual(self.files(), [])

    def test_a_start_that_fails_leaves_the_file(self):
        with self.cache() as server:
            resp(server.port, b"SET", b"key", b"value")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            said = self.refused("cache", "--persist", self.path, "--listen",
                                f"tcp://127.0.0.1:{taken.getsockname()[1]}")
        self.assertIn("address already in use", said)
        with self.cache() as server:
            self.assertEqual(resp(server.port, b"GET", b"key"), b"value")

    def test_a_mock_has_nothing_to_keep_and_says_so(self):
        with Nuthatch("mock", "examples/db.json", "--persist", self.path, listen="http://127.0.0.1:0") as server:
            self.assertIn("persist: there are no values to keep", server.log)
        self.assertEqual(self.files(), [])


class Files(Restarts):
    def test_a_file_that_is_not_whole_or_not_ours_is_a_cold_start_with_a_warning(self):
        with self.cache() as server:
            resp(server.port, b"SET", b"key", b"value")
        with open(self.path, "rb") as file:
            whole = file.read()
        damaged = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
        for contents in (b"", b"garbage\n" * 1000, whole[:-1], whole[:len(whole) // 2], damaged, whole + b"x"):
            with open(self.path, "wb") as file:
                file.write(contents)
            with self.cache() as server:
                self.assertRegex(server.log, rf"cannot restore values from {self.path}: .*; starting empty")
                self.assertIn("next clean stop overwrites it", server.log)
                with open(self.path, "rb") as file:
                    self.assertEqual(file.read(), contents)
                self.assertEqual(resp(server.port, b"GET", b"key"), b"$-1")
                self.assertEqual(resp(server.port, b"SET", b"other", b"good"), b"+OK")
            with self.cache() as server:
                self.assertEqual(resp(server.port, b"GET", b"other"), b"good")

    def test_where_no_file_can_be_made_no_server_starts(self):
        said = self.refused("cache", "--persist", f"{self.folder}/missing/values")
        self.assertIn(f"persist: {self.folder}/missing/values: there is no folder {self.folder}/missing; make it", said)
        said = self.refused("cache", "--persist", self.folder)
        self.assertIn(f"persist: {self.folder} is no file; name one, such as {self.folder}/nuthatch.values", said)
        with open(self.path, "w"):
            pass
        self.assertIn(f"{self.path} is no folder", self.refused("cache", "--persist", f"{self.path}/values"))

    def test_where_this_user_may_not_write_no_server_starts(self):
        binary, options = BINARY, {}
        if os.geteuid() == 0:  # who may write anywhere
            nobody = pwd.getpwnam("nobody")
            options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            binary = f"{self.folder}/nuthatch"  # the tree may be where nobody may look
            shutil.copy(BINARY, binary)
        os.chmod(self.folder, 0o555)
        self.addCleanup(os.chmod, self.folder, 0o755)
        done = subprocess.run([binary, "cache", "--persist", self.path], capture_output=True, text=True, timeout=30,
                              **options)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"persist: {self.path}: cannot write in the folder {self.folder}: Permission denied", done.stderr)

    def test_what_cannot_be_saved_in_the_end_is_an_error(self):
        server = self.cache()
        resp(server.port, b"SET", b"key", b"value")
        shutil.rmtree(self.folder)
        self.assertEqual(server.stop(), 1)
        self.assertIn(f"cannot save 1 values to {self.path}: No such file or directory", server.log)

    def test_in_a_yaml_file_the_path_is_beside_it(self):
        config = f"{self.folder}/nuthatch.yaml"
        with open(config, "w") as file:
            file.write("persist: values\nmemory: 16M\ncache:\n  listen: tcp://127.0.0.1:0\n")
        subprocess.run([BINARY, "check", config], check=True, capture_output=True, timeout=30)
        for wanted in (b"$-1", b"value"):
            with Nuthatch("serve", config, listen=()) as server:
                self.assertEqual(resp(server.port, b"GET", b"key"), wanted)
                resp(server.port, b"SET", b"key", b"value")
            self.assertEqual(self.files(), ["nuthatch.yaml", "values"])


class Gateways(Restarts):
    def setUp(self):
        super().setUp()

        def answer(request):
            kind = request.headers["Accept-Language"] or "-"
            body = b"%d %s" % (self.origin.count(), kind.encode())
            if request.path == "/vary":
                request.reply(200, body, Cache_Control="max-age=60", Vary="Accept-Language")
            elif request.path == "/brief":
                request.reply(200, body, Cache_Control="max-age=2")
            else:
                request.reply(200, body, Cache_Control="max-age=60", Age="7")
        self.origin = Origin(answer)
        self.addCleanup(self.origin.stop)

    def gateway(self, origin=None):
        return Nuthatch("gateway", origin or self.origin.url, "--persist", self.path, "--threads", "2",
                        listen="http://127.0.0.1:0")

    def test_answers_come_from_the_store_and_their_age_goes_on(self):
        with self.gateway() as server:
            first = fetch(server.port, "/x")
            fetch(server.port, "/brief")
            time.sleep(1.1)
        self.assertIn("saved 2 values", server.log)
        time.sleep(1.1)
        asked = self.origin.count()
        for least in (9, 10, 11):  # each a life of the gateway
            with self.gateway() as server:
                self.assertRegex(server.log, "restored [12] values")
                again = fetch(server.port, "/x")
                self.assertEqual((again.status, again.body), (200, first.body))
                self.assertIn("; hit", again["Cache-Status"])
                age = int(again["Age"])
                self.assertTrue(least <= age < 60, age)
                self.assertEqual(self.origin.count(), asked)
                time.sleep(1.1)
        with self.gateway() as server:  # what was fresh for two seconds is so no longer
            self.assertNotIn("; hit", fetch(server.port, "/brief")["Cache-Status"])

    def test_variants_come_back_and_forgotten_ones_do_not(self):
        with self.gateway() as server:
            for language in ("de", "fr"):
                fetch(server.port, "/vary", Accept_Language=language)
            fetch(server.port, "/vary", "POST", b"x")
            german = fetch(server.port, "/vary", Accept_Language="de").body
        with self.gateway() as server:
            asked = self.origin.count()
            self.assertEqual(fetch(server.port, "/vary", Accept_Language="de").body, german)
            self.assertEqual(self.origin.count(), asked)
            self.assertNotIn("; hit", fetch(server.port, "/vary", Accept_Language="fr")["Cache-Status"])
            fetch(server.port, "/vary", "POST", b"x")
        with self.gateway() as server:
            for language in ("it", "de", "fr"):
                self.assertNotIn("; hit", fetch(server.port, "/vary", Accept_Language=language)["Cache-Status"])

    def test_another_origin_gets_none_of_it(self):
        other = Origin(lambda request: request.reply(200, b"other", Cache_Control="max-age=60"))
        self.addCleanup(other.stop)
        with self.gateway() as server:
            fetch(server.port, "/x")
        with self.gateway(other.url) as server:
            self.assertEqual(fetch(server.port, "/x").body, b"other")


if __name__ == "__main__":
    unittest.main()
