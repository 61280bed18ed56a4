"""Clients that send or read as slowly as they can: deadlines fire, memory stays flat, others notice nothing.

SLOW_CLIENTS says how many there are at once (500); the machine must allow as many open files, twice."""
import os, resource, selectors, socket, time, unittest

from harness import FREED_IS_GONE, Nuthatch, Origin, PATIENCE_S, fetch

COUNT = int(os.environ.get("SLOW_CLIENTS", "500"))
MIB = 1 << 20


def setUpModule():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = COUNT * 2 + 200
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise unittest.SkipTest(f"no more than {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def answer(request):
    if request.path == "/large":  # 100 MiB that are never stored
        request.send_response(200)
        request.send_header("Content-Length", str(100 * MIB))
        request.end_headers()
        for _ in range(100):
            request.wfile.write(bytes(MIB))
    elif request.path == "/events":
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("Connection", "close")
        request.end_headers()
        for _ in range(3):
            request.wfile.write(b"data: a\n\n")
            time.sleep(1)
    elif request.path == "/stored":
        request.reply(200, bytes(8 * MIB), Cache_Control="max-age=60")
    else:
        request.reply(200, b"ok", Cache_Control="max-age=60")


class Crowd:
    """Connections that each have said `first`, in one selector."""

    def __init__(self, port, count, first, receive_bytes=None):
        self.sockets, self.answers = [], {}
        self.selector = selectors.DefaultSelector()
        for _ in range(count):
            client = socket.socket()
            if receive_bytes:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            client.connect(("127.0.0.1", port))
            client.sendall(first)
            client.setblocking(False)
            self.sockets.append(client)
            self.answers[client] = b""
            self.selector.register(client, selectors.EVENT_READ)

    def send(self, data):
        for client in list(self.selector.get_map()):
            try:
                self.selector.get_map()[client].fileobj.send(data)
            except OSError:
                pass  # seen when reading

    def look(self):
        """Reads what there is; returns how many are still connected."""
        for key, _ in self.selector.select(0):
            try:
                piece = key.fileobj.recv(65536)
            except OSError:
                piece = b""
            self.answers[key.fileobj] += piece
            if not piece:
                self.selector.unregister(key.fileobj)
        return len(self.selector.get_map())

    def close(self):
        self.selector.close()
        for client in self.sockets:
            client.close()


class Slow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin(answer)

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()

    def gateway(self, *arguments):
        server = Nuthatch("gateway", self.origin.url, "--memory", "64M", "--threads", "1", *arguments,
                          environment=FREED_IS_GONE)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        fetch(server.port, "/")
        return server

    def crowd(self, *arguments, **options):
        crowd = Crowd(*arguments, **options)
        self.addCleanup(crowd.close)
        return crowd

    def wait_until_all_are_cut(self, crowd, server, drip=None):
        """Meanwhile another client is served, as if there were nobody else. Returns how long it took."""
        begun = dripped = time.time()
        while crowd.look() > 0:
            self.assertLess(time.time() - begun, PATIENCE_S)
            if drip and time.time() - dripped > 0.2:
                dripped = time.time()
                crowd.send(drip)
            asked = time.time()
            self.assertEqual(fetch(server.port, "/").body, b"ok")
            self.assertLess(time.time() - asked, 1)
            time.sleep(0.02)
        return time.time() - begun

    def test_heads_that_come_a_byte_at_a_time(self):
        server = self.gateway("--header-timeout", "1500ms")
        before = server.resident_kib()
        begun = time.time()
        crowd = self.crowd(server.port, COUNT, b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        took = self.wait_until_all_are_cut(crowd, server, drip=b"a")
        self.assertLess(server.resident_kib() - before, 4096 + COUNT * 8)
        self.assertGreater(time.time() - begun, 1.2)
        self.assertLess(took, 6)
        for said in crowd.answers.values():
            self.assertTrue(said.startswith(b"HTTP/1.1 408 "), said)

    def test_bodies_that_stop_in_their_midst(self):
        server = self.gateway("--body-timeout", "1500ms")
        before = server.resident_kib()
        crowd = self.crowd(server.port, min(COUNT, 500), b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        took = self.wait_until_all_are_cut(crowd, server)
        self.assertLess(server.resident_kib() - before, 4096 + COUNT * 64)
        self.assertLess(took, 6)
        self.assertEqual({said.split(b"\r\n")[0] for said in crowd.answers.values()},
                         {b"HTTP/1.1 408 Request Timeout"})

    def test_bodies_that_never_stop_and_never_come(self):
        server = self.gateway("--body-timeout", "1s", "--body-rate-min", "10k", "--origin-connections", "2")
        posts = self.origin.count("/drip")
        crowd = self.crowd(server.port, 10, b"POST /drip HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        took = self.wait_until_all_are_cut(crowd, server, drip=b"1\r\na\r\n")
        self.assertGreater(took, 0.8)
        self.assertLess(took, 10)
        self.assertEqual({said.split(b"\r\n")[0] for said in crowd.answers.values()},
                         {b"HTTP/1.1 408 Request Timeout"})
        server.wait_for("its request's body does not end, or comes too slowly")
        self.assertEqual(self.origin.count("/drip"), posts)
        # The origin's connections are free again; and who brings enough may take its time.
        body = b"a" * 6000
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"POST /drip HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 30000\r\n\r\n")
            for _ in range(5):
                client.sendall(body)
                time.sleep(0.4)
            client.settimeout(PATIENCE_S)
            self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200 "))

    def test_small_bodies_that_are_late_keep_nobody_from_the_origin(self):
        server = self.gateway("--origin-connections", "2", "--connect-timeout", "2s", "--first-byte-timeout", "2s")
        posts = self.origin.count("/late")
        crowd = self.crowd(server.port, 10, b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        for number in range(3):
            self.assertEqual(fetch(server.port, f"/not-stored-yet/{number}").body, b"ok")
        self.assertEqual(self.origin.count("/late"), posts)
        crowd.send(b"cde")
        begun = time.time()
        while not all(said.endswith(b"ok") for said in crowd.answers.values()):
            self.assertLess(time.time() - begun, PATIENCE_S)
            crowd.look()
            time.sleep(0.01)
        self.assertEqual([body for _, path, _, body in self.origin.requests if path == "/late"], [b"abcde"] * 10)

    def open_files(self, server):
        return len(os.listdir(f"/proc/{server.pid}/fd"))

    def check_readers(self, path, count):
        server = self.gateway("--write-timeout", "1s", "--object-max", "16M")
        fetch(server.port, "/stored")
        before, files_before = server.resident_kib(), self.open_files(server) + 2  # one kept to the origin, and one to ask
        self.crowd(server.port, count, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), receive_bytes=4096)
        begun = time.time()
        while time.time() - begun < 0.8:  # nobody reads; others are served
            asked = time.time()
            self.assertEqual(fetch(server.port, "/").body, b"ok")
            self.assertLess(time.time() - asked, 1)
            self.assertLess(server.resident_kib() - before, 8192 + count * 1024)
            time.sleep(0.02)
        server.wait_for("it does not read its answers|it reads its answers too slowly")  # as far as the kernel took some
        while self.open_files(server) > files_before:  # all were cut; what the kernel took may still be on its way
            self.assertLess(time.time() - begun, PATIENCE_S)
            time.sleep(0.05)

    def test_those_who_do_not_read_what_is_passed_on(self):
        self.check_readers("/large", 20)

    def test_those_who_do_not_read_what_is_stored(self):
        self.check_readers("/stored", 40)

    def read_slowly(self, path, count, bytes_a_second, most_s, *arguments):
        """Returns how many are still connected once one has been cut, or after `most_s`."""
        server = self.gateway("--write-timeout", "1s", "--answer-rate-min", "40k", "--object-max", "16M",
                              "--origin-connections", "200", *arguments)
        fetch(server.port, "/stored")
        before, files_before = server.resident_kib(), self.open_files(server) + 2
        crowd = self.crowd(server.port, count, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode(), receive_bytes=4096)
        for client in crowd.sockets:
            client.settimeout(0)
        begun = time.time()
        gone = set()
        while len(gone) < count and time.time() - begun < most_s:
            for client in crowd.sockets:
                try:
                    if client not in gone and not client.recv(max(bytes_a_second // 10, 1)):
                        gone.add(client)
                except BlockingIOError:
                    pass
                except OSError:
                    gone.add(client)
            asked = time.time()
            self.assertEqual(fetch(server.port, "/").body, b"ok")
            self.assertLess(time.time() - asked, 5)
            self.assertLess(server.resident_kib() - before, 8192 + count * 1024)
            if server.log.count("it reads its answers too slowly") and self.open_files(server) <= files_before:
                gone = set(crowd.sockets)  # what the kernel took may still be on its way
            time.sleep(0.1)
        return count - len(gone)

    def test_those_who_read_what_is_passed_on_too_slowly(self):
        self.assertEqual(self.read_slowly("/large", COUNT // 25, 2000, PATIENCE_S), 0)

    def test_those_who_read_what_is_stored_too_slowly(self):
        self.assertEqual(self.read_slowly("/stored", COUNT // 12, 2000, PATIENCE_S), 0)

    def test_those_who_read_fast_enough_take_as_long_as_they_need(self):
        self.assertEqual(self.read_slowly("/large", 5, 400_000, 4), 5)

    def test_who_has_nothing_to_read_is_not_too_slow(self):
        server = self.gateway("--write-timeout", "500ms", "--answer-rate-min", "1m")
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            client.settimeout(PATIENCE_S)
            said = b""
            while piece := client.recv(4096):
                said += piece
            self.assertEqual(said.count(b"data: a\n\n"), 3)
            self.assertTrue(said.endswith(b"0\r\n\r\n"), said)


if __name__ == "__main__":
    unittest.main()
