"""The server under pressure: caps, deadlines, descriptors, stopping, and kernels that refuse io_uring."""
import fcntl, os, re, resource, signal, socket, struct, subprocess, sys, tempfile, threading, time, unittest

from harness import BINARY, FREED_IS_GONE, Nuthatch, Origin, fetch, raw, wait_until_still

LOOPS = ("uring", "epoll")


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 30)


def refuses(port):
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # the listener closed meanwhile
        pass
    return False


class Limits(unittest.TestCase):
    def test_over_the_cap_a_client_is_told_and_the_others_go_on(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--max-connections", "10", "--loop", loop) as server:
                held = [connect(server.port) for _ in range(10)]
                for s in held:
                    s.sendall(b"PING\r\n")
                    self.assertEqual(s.recv(100), b"+PONG\r\n")
                self.assertEqual(raw(server.port, b""), b"-ERR max number of clients reached\r\n")
                for s in held:
                    s.sendall(b"PING\r\n")
                    self.assertEqual(s.recv(100), b"+PONG\r\n")
                held.pop().close()
                time.sleep(0.2)
                s = connect(server.port)
                s.sendall(b"PING\r\n")
                self.assertEqual(s.recv(100), b"+PONG\r\n")
                for s in [*held, s]:
                    s.close()

    def test_running_out_of_descriptors_does_not_spin_and_recovers(self):
        for loop in LOOPS:
            few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
            command = ["cache", "--threads", "1", "--loop", loop]
            server = NuthatchWith(few, *command)
            with server:
                held = [connect(server.port) for _ in range(60)]
                before = server.cpu_seconds()
                time.sleep(1)
                self.assertLess(server.cpu_seconds() - before, 0.2)
                for s in held:
                    s.close()
                time.sleep(0.5)
                s = connect(server.port)
                s.sendall(b"PING\r\n")
                self.assertEqual(s.recv(100), b"+PONG\r\n")
                s.close()

    def test_promised_lengths_cost_no_memory(self):
        with Nuthatch("cache", "--memory", "16M", "--threads", "2", environment=FREED_IS_GONE) as server:
            before = server.allocated_kib()
            held = []
            for i in range(1000):
                s = connect(server.port)
                s.sendall((b"*1000000\r\n$10\r\nabc", b"*2\r\n$3\r\nGET\r\n$60000000\r\nabc",
                           b"set k 0 0 60000000\r\nabc")[i % 3])
                held.append(s)
            wait_until_still(server.cpu_seconds)
            # Seen: 1 to 2 KiB for each connection. Room for one promise would be 16 MB of arguments or 60 MB of value.
            self.assertLess(server.allocated_kib() - before, 8 << 10)
            for s in held:
                s.close()

    def test_malformed_resp_is_refused_and_closed(self):
        cases = [(b"*2147483647\r\n", b"invalid multibulk length"), (b"*1\r\n$-2\r\n", b"invalid bulk length"),
                 (b"*1\r\n$2147483647\r\n", b"invalid bulk length"), (b"*1\r\n:1\r\n", b"expected '$'"),
                 (b"x" * 70000, b"too big inline request")]
        with Nuthatch("cache", listen="resp://127.0.0.1:0") as server:
            for data, error in cases:
                received = raw(server.port, data)
                self.assertTrue(received.startswith(b"-ERR Protocol error: "), received)
                self.assertIn(error, received)

    def test_a_client_that_never_reads_is_cut(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--write-timeout", "1s", "--memory", "32M", "--loop", loop,
                          environment=FREED_IS_GONE) as server:
                setter = connect(server.port)
                setter.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + b"v" * 100000 + b"\r\n")
                self.assertEqual(setter.recv(10), b"+OK\r\n")
                before = server.allocated_kib()
                greedy = connect(server.port)
                greedy.settimeout(0.5)
                sent, cut = 0, False
                try:
                    for _ in range(100000):
                        sent += greedy.send(b"GET k\r\n" * 100)
                except TimeoutError:
                    pass
                except OSError:
                    cut = True
                # Seen: 3 MiB. One send alone asks for 10 MB of answers, and it would go on for ever.
                self.assertLess(server.allocated_kib() - before, 24 << 10)
                setter.sendall(b"PING\r\n")  # the others are not disturbed
                self.assertEqual(setter.recv(10), b"+PONG\r\n")
                end = time.time() + 10
                greedy.settimeout(1)
                while not cut and time.time() < end:
                    try:
                        greedy.send(b"GET k\r\n")
                        time.sleep(0.1)
                    except TimeoutError:
                        pass
                    except OSError:
                        cut = True
                self.assertTrue(cut)
                setter.close()
                greedy.close()

    def test_answers_larger_than_a_connection_may_buffer_cut_it(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--memory", "64M", "--value-max", "4M", "--connection-buffer", "8M",
                          "--loop", loop, environment=FREED_IS_GONE) as server:
                value = b"v" * (4 << 20)
                with connect(server.port) as s:
                    s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n" % (len(value), value))
                    self.assertEqual(s.recv(10), b"+OK\r\n")
                before = server.resident_peak_kib()
                raw(server.port, b"*41\r\n$4\r\nMGET\r\n" + b"$1\r\nk\r\n" * 40)
                # Seen: 8 MiB, as much as it may buffer. The answer has 160.
                self.assertLess(server.resident_peak_kib() - before, 40 << 10)
                with connect(server.port) as s:
                    s.sendall(b"PING\r\n")
                    self.assertEqual(s.recv(10), b"+PONG\r\n")

    def test_dropped_data_is_not_taken_for_http(self):
        for loop in LOOPS:
            with Nuthatch("cache", "--value-max", "1k", "--loop", loop) as server, connect(server.port) as s:
                data = b"GET / HTTP/1.1\r\nHost: a\r\n" * 100
                s.sendall(b"set k 0 0 %d\r\n" % len(data))
                for i in range(0, len(data), 26):
                    s.sendall(data[i:i + 26])
                    time.sleep(0.001)
                s.sendall(b"\r\nget k\r\n")
                received = b""
                while not received.endswith(b"END\r\n"):
                    piece = s.recv(1000)
                    self.assertTrue(piece, received)
                    received += piece
                self.assertEqual(received, b"SERVER_ERROR object too large for cache\r\nEND\r\n")

    def test_a_silent_cache_client_is_merely_idle(self):
        with Nuthatch("cache", "--header-timeout", "300ms") as server, connect(server.port) as s:
            time.sleep(1)
            s.sendall(b"PING\r\n")
            self.assertEqual(s.recv(10), b"+PONG\r\n")


class NuthatchWith(Nuthatch):
    """With something done in the child before it runs."""

    def __init__(self, before, *arguments):
        self._before = before
        original = subprocess.Popen
        try:
            subprocess.Popen = lambda *a, **k: original(*a, **k, preexec_fn=before)
            super().__init__(*arguments)
        finally:
            subprocess.Popen = original


class Deadlines(unittest.TestCase):
    def test_two_thousand_slow_heads_disturb_nobody(self):
        for loop in LOOPS:
            with Origin(lambda r: r.reply(200, b"x" * 100, Cache_Control="max-age=60")) as origin, \
                    Nuthatch("gateway", origin.url, "--header-timeout", "2s", "--threads", "2",
                             "--loop", loop, environment=FREED_IS_GONE) as server:
                before = server.allocated_kib()
                slow = [connect(server.port) for _ in range(2000)]
                began = time.time()
                for letter in b"GET":
                    for s in slow:
                        s.sendall(bytes([letter]))
                    self.assertEqual(fetch(server.port, "/x").status, 200)
                # 8 KiB for each connection. Seen: 1, with a sanitizer 2; room for the largest head would be 64.
                self.assertLess(server.allocated_kib() - before, 16 << 10)
                for s in slow:
                    s.settimeout(10)
                    received = b""
                    try:
                        while piece := s.recv(1000):
                            received += piece
                    except ConnectionError:
                        pass
                    self.assertTrue(received.startswith(b"HTTP/1.1 408 "), received)
                    s.close()
                self.assertLess(time.time() - began, 10)

    def test_a_slow_body_is_a_408(self):
        with Origin(lambda r: r.reply(200, r.body)) as origin, \
                Nuthatch("gateway", origin.url, "--body-timeout", "1s") as server:
            received = raw(server.port, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
            self.assertTrue(received.startswith(b"HTTP/1.1 408 "), received)

    def test_an_idle_connection_is_closed_without_a_word(self):
        for loop in LOOPS:
            with Nuthatch("mock", "examples/db.json", "--idle-timeout", "1s", "--loop", loop) as server:
                with connect(server.port) as s:
                    began = time.time()
                    s.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertTrue(s.recv(4000).startswith(b"HTTP/1.1 404 "))
                    self.assertEqual(s.recv(4000), b"")
                    self.assertTrue(0.5 < time.time() - began < 10)


class Http(unittest.TestCase):
    def test_pipelined_requests_are_answered_in_order(self):
        def answer(request):
            time.sleep({"/1": 0.3, "/2": 0.1, "/3": 0}[request.path])
            request.reply(200, request.path.encode())
        for loop in LOOPS:
            with Origin(answer) as origin, Nuthatch("gateway", origin.url, "--loop", loop) as server:
                received = raw(server.port, b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n%s\r\n" %
                                                     (i, b"Connection: close\r\n" if i == 3 else b"") for i in (1, 2, 3)))
                self.assertEqual(re.findall(rb"\r\n\r\n(/\d)", received), [b"/1", b"/2", b"/3"])

    def test_a_client_that_ends_its_side_gets_all_its_answers(self):
        for loop in LOOPS:
            with Nuthatch("mock", "examples/db.json", "--latency", "50ms", "--loop", loop) as server:
                received = raw(server.port, b"GET /users/1 HTTP/1.1\r\nHost: a\r\n\r\n" * 3, shutdown=True)
                self.assertEqual(received.count(b"HTTP/1.1 200 OK"), 3, received)
            with Nuthatch("cache", "--loop", loop) as server:
                value = b"v" * 300_000
                received = raw(server.port, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n" + value + b"\r\n" +
                               b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" * 80, shutdown=True)
                self.assertEqual(received.count(b"$300000\r\n"), 80)

    def test_an_http_1_0_client_can_tell_a_cut_answer(self):
        def answer(request):
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            request.wfile.write(b"5\r\nhello\r\n")
            request.wfile.flush()
            time.sleep(0.3)
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
        for loop in LOOPS:
            with Origin(answer) as origin, Nuthatch("gateway", origin.url, "--loop", loop) as server:
                with connect(server.port) as s:
                    s.sendall(b"GET /x HTTP/1.0\r\n\r\n")
                    with self.assertRaises(ConnectionResetError):
                        while s.recv(1000):
                            pass

    def test_an_http_1_0_client_gets_an_end_it_understands(self):
        def answer(request):
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            request.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
        with Origin(answer) as origin, Nuthatch("gateway", origin.url) as server:
            received = raw(server.port, b"GET /x HTTP/1.0\r\n\r\n")
            self.assertNotIn(b"chunked", received.lower())
            self.assertTrue(received.endswith(b"\r\n\r\nhello"), received)

    def test_limits_on_heads(self):
        with Nuthatch("mock", "examples/db.json") as server:
            before = server.resident_peak_kib()
            cases = [(b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"414"),
                     (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n", b"431"),
                     (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 66560 + b"\r\n\r\n", b"431"),
                     (b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b"y" * 10000 + b"\r\n") * 6400, b"431"),
                     (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", b"505"), (b"GET / HTTP/1.1\r\n\r\n", b"400")]
            for data, status in cases:
                received = raw(server.port, data)
                self.assertTrue(received.startswith(b"HTTP/1.1 " + status), (status, received[:200]))
            # Seen: 1 to 2 MiB. The longest of the heads has 64.
            self.assertLess(server.resident_peak_kib() - before, 16 << 10)


class Stopping(unittest.TestCase):
    def test_what_is_in_hand_is_finished(self):
        for loop in LOOPS:
            started = threading.Event()

            def answer(request):
                started.set()
                time.sleep(0.5)
                request.reply(200, b"finished")
            with Origin(answer) as origin:
                server = Nuthatch("gateway", origin.url, "--loop", loop)
                with connect(server.port) as s, connect(server.port) as idle:
                    s.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                    started.wait(10)
                    server.process.send_signal(signal.SIGTERM)
                    self.assertEqual(idle.recv(10), b"")
                    received = b""
                    while piece := s.recv(4096):
                        received += piece
                    self.assertTrue(received.endswith(b"finished"), received)
                    self.assertIn(b"Connection: close", received)
                self.assertEqual(server.wait(), 0)

    def test_newcomers_are_refused_and_a_successor_has_the_port(self):
        for loop in LOOPS:
            server = Nuthatch("mock", "examples/db.json", "--latency", "1500ms", "--loop", loop)
            with connect(server.port) as s:
                s.sendall(b"GET /users HTTP/1.1\r\nHost: a\r\n\r\n")
                time.sleep(0.2)
                server.process.send_signal(signal.SIGTERM)
                end = time.time() + 1
                while not refuses(server.port):
                    self.assertLess(time.time(), end)
                    time.sleep(0.05)
                with Nuthatch("mock", "examples/db.json", "--loop", loop, listen=f"http://127.0.0.1:{server.port}") as successor:
                    self.assertEqual(fetch(successor.port, "/users").status, 200)
                self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200 OK"))
            self.assertEqual(server.wait(), 0)

    def test_the_deadline_ends_what_takes_too_long(self):
        started, over = threading.Event(), threading.Event()
        self.addCleanup(over.set)

        def answer(request):
            started.set()
            over.wait(20)
        with Origin(answer) as origin:
            server = Nuthatch("gateway", origin.url, "--drain-timeout", "300ms")
            with connect(server.port) as s:
                s.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                started.wait(10)
                began = time.time()
                self.assertEqual(server.stop(), 0)
                self.assertLess(time.time() - began, 7)  # the default is 10 s; ThreadSanitizer adds one of its own

    def test_a_second_signal_leaves_at_once(self):
        started, over = threading.Event(), threading.Event()
        self.addCleanup(over.set)

        def answer(request):
            started.set()
            over.wait(20)
        with Origin(answer) as origin:
            server = Nuthatch("gateway", origin.url)
            with connect(server.port) as s:
                s.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
                started.wait(10)
                server.process.send_signal(signal.SIGTERM)
                time.sleep(0.3)
                began = time.time()
                server.process.send_signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 1)
                self.assertLess(time.time() - began, 7)  # the drain would end after 10 s

    def test_a_port_in_use_is_said_clearly(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            port = s.getsockname()[1]
            done = subprocess.run([BINARY, "cache", "--listen", f"tcp://127.0.0.1:{port}"], capture_output=True,
                                  text=True, timeout=30)
            self.assertEqual(done.returncode, 1)
            self.assertIn("address already in use", done.stderr)
            self.assertIn("--listen", done.stderr)


class Kernels(unittest.TestCase):
    """A system-call filter refuses io_uring_setup, as in many containers."""

    @staticmethod
    def refuse_io_uring():
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        load, jump_equal, ret = 0x20, 0x15, 0x06
        code = [(load, 0, 0, 0), (jump_equal, 0, 1, 425), (ret, 0, 0, 0x00050000 | 1), (ret, 0, 0, 0x7fff0000)]
        filters = b"".join(struct.pack("=HBBI", *one) for one in code)
        buffer = ctypes.create_string_buffer(filters, len(filters))
        program = struct.pack("@HP", len(code), ctypes.addressof(buffer))
        holder = ctypes.create_string_buffer(program, len(program))
        if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(holder)), 0, 0):
            os._exit(99)

    def test_auto_falls_back_with_one_line(self):
        with NuthatchWith(self.refuse_io_uring, "cache", "--threads", "2") as server:
            s = connect(server.port)
            s.sendall(b"PING\r\n")
            self.assertEqual(s.recv(10), b"+PONG\r\n")
            s.close()
            self.assertEqual(server.log.count("io_uring"), 1, server.log)

    def test_uring_asked_for_is_an_error(self):
        done = subprocess.run([BINARY, "cache", "--listen", "tcp://127.0.0.1:0", "--loop", "uring"],
                              capture_output=True, text=True, timeout=30, preexec_fn=self.refuse_io_uring)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--loop auto", done.stderr)


class CommandLine(unittest.TestCase):
    def run_it(self, *arguments):
        return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=30)

    def test_help_and_version(self):
        self.assertIn("gateway", self.run_it("--help").stdout)
        self.assertIn("--latency", self.run_it("mock", "--help").stdout)
        self.assertRegex(self.run_it("--version").stdout, r"^nuthatch \d+\.\d+\.\d+\n$")

    def test_a_mistake_is_named(self):
        done = self.run_it("cache", "--thread", "1")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--threads", done.stderr)

    def test_a_file_with_mistakes(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("threads: 1\ncach:\n  - listen: tcp://127.0.0.1:0\n")
            file.flush()
            done = self.run_it("check", file.name)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"{file.name}:2:1: ", done.stderr)
            self.assertIn("cache", done.stderr)

    def test_a_file_that_serves_three_roles(self):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("threads: 1\nmock:\n  listen: tcp://127.0.0.1:0\n  data: " + os.path.abspath("examples/db.json") + "\n"
                       "cache:\n  - listen: [resp://127.0.0.1:0, memcached://127.0.0.1:0]\n")
            file.flush()
            self.assertEqual(self.run_it("check", file.name).returncode, 0)
            server = Nuthatch("serve", file.name, listen=())
            with server:
                ports = [int(p) for p in server.wait_for(r"ready on \w+://[^ \n]*:(\d+)", 3)]
                self.assertEqual(fetch(ports[0], "/birds").status, 200)
                self.assertEqual(raw(ports[1], b"PING\r\nQUIT\r\n"), b"+PONG\r\n+OK\r\n")
                self.assertTrue(raw(ports[2], b"version\r\nquit\r\n").startswith(b"VERSION "))


class Demo(unittest.TestCase):
    def setUp(self):
        """The demo has fixed ports, and gives one up for a while: two of them at a time would take each other's."""
        lock = open(os.path.join(tempfile.gettempdir(), f"nuthatch-demo-ports-{os.getuid()}.lock"), "w")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX)

    def test_the_tour_holds(self):
        done = subprocess.run([BINARY, "demo", "--once"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("✓"), 5, done.stdout)
        self.assertNotIn("\033", done.stdout)

    def test_ports_in_use_are_said_and_others_taken(self):
        held = []
        for port in (3000, 8080, 6379, 11211):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                s.listen()
            except OSError:  # somebody else has it: as good
                pass
            held.append(s)
        # Options of text are each server's own, and given back once.
        done = subprocess.run([BINARY, "demo", "--once", "--admin-token", "sesame", "--admin", "http://127.0.0.1:0"],
                              capture_output=True, text=True, timeout=60)
        for s in held:
            s.close()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("is in use"), 4, done.stdout)


if __name__ == "__main__":
    unittest.main()
