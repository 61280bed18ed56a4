"""Upstreams of several origins, origins that misbehave in every way, and what clients see of it."""
import concurrent.futures, contextlib, fcntl, http.client, re, socket, struct, subprocess, sys, tempfile, threading, time, unittest

from harness import Nuthatch, Origin, fetch, free_port


def gateway(*arguments, **options):
    return Nuthatch("gateway", *arguments, "--memory", "64M", **options)


class Rude:
    """A server that reads a request's head and then does to the socket what `deed` says, in a thread each."""

    def __init__(self, deed):
        self.deed, self.count, self.lock = deed, 0, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.stopped = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            with self.lock:
                self.count += 1
            self.deed(self, connection)

    def stop(self):
        self.stopped.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def stall(server, connection):
    server.stopped.wait(20)


def stall_in_head(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
    server.stopped.wait(20)


def stall_in_body(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nbegin")
    server.stopped.wait(20)


def cut_in_head(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def cut_in_body(server, connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nbegin")


def close(server, connection):
    pass


def reset(server, connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(server, connection):
    connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 is this HTTP?\r\n\r\n")


def endless_head(server, connection):
    while True:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 60000 + b"\r\n")


def drip(server, connection):
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi":
        connection.sendall(bytes([byte]))
        if server.stopped.wait(1):
            return


def broken(server, connection):
    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 6\r\nConnection: close\r\n\r\nbroken")


class UpstreamTest(unittest.TestCase):
    def rude(self, deed):
        server = Rude(deed)
        self.addCleanup(server.stop)
        return server

    def origin(self, answer=lambda r: r.reply(200, b"good")):
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        return origin

    def gateway(self, *arguments, **options):
        server = gateway(*arguments, **options)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return server

    def fetch_all(self, port, paths):
        """Their statuses, None for an answer that was cut; all at once."""
        answers = [None] * len(paths)

        def one(i):
            with contextlib.suppress(http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError):
                answers[i] = fetch(port, paths[i]).status
        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(paths))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


class OneOrigin(UpstreamTest):
    def test_each_fault_has_its_outcome_and_others_are_served_meanwhile(self):
        faults = {stall: 504, stall_in_head: 504, stall_in_body: None, cut_in_head: 502, cut_in_body: None, close: 502,
                  reset: 502, garbage: 502, endless_head: 502, drip: 504, broken: 503}
        upstreams = {deed.__name__: self.rude(deed).url for deed in faults}
        upstreams["good"] = self.origin(lambda r: r.reply(200, r.path.encode(), Cache_Control="no-store")).url
        upstreams["refuses"] = f"http://127.0.0.1:{free_port()}"
        with self.configured(upstreams) as server:
            done = threading.Event()
            answered = [0]

            def others():
                while not done.is_set():
                    path = f"/good/{answered[0]}"
                    assert fetch(server.port, path).body.endswith(path.encode())
                    answered[0] += 1
            beside = threading.Thread(target=others)
            beside.start()
            expected = {f"/{deed.__name__}/x": status for deed, status in faults.items()}
            expected["/refuses/x"] = 502
            got = dict(zip(expected, self.fetch_all(server.port, list(expected))))
            done.set()
            beside.join()
            self.assertEqual(got, expected)
            self.assertGreater(answered[0], 10)  # in the second and a half that the stalls take

    @contextlib.contextmanager
    def configured(self, upstreams):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("memory: 64M\ngateway:\n  listen: http://127.0.0.1:0\n  first-byte-timeout: 1500ms\n  upstreams:\n")
            for name, url in upstreams.items():
                file.write(f"    {name}: {{origin: {url}}}\n")
            file.write("  routes:\n")
            for name in upstreams:
                file.write(f"    - {{match: {{path: /{name}/**}}, upstream: {name}}}\n")
            file.flush()
            with Nuthatch("serve", file.name, listen=()) as server:
                yield server

    def test_a_stored_answer_stands_in_for_every_fault(self):
        deed = [None]

        def answer(request):
            if deed[0] is None:
                return request.reply(200, b"stored", Cache_Control="max-age=1, stale-if-error=600")
            request.close_connection = True
            deed[0](stopped, request.connection)
        stopped = self.rude(stall)  # for its event
        origin = self.origin(answer)
        server = self.gateway(origin.url, "--first-byte-timeout", "500ms")
        deeds = [stall, stall_in_head, cut_in_head, close, reset, garbage, broken]
        for i in range(len(deeds)):
            self.assertEqual(fetch(server.port, f"/{i}").body, b"stored")
        time.sleep(1.2)
        for i, each in enumerate(deeds):
            deed[0] = each
            stale = fetch(server.port, f"/{i}")
            self.assertEqual((each.__name__, stale.status, stale.body), (each.__name__, 200, b"stored"))
            self.assertIn("fwd=stale", stale["Cache-Status"])

    def test_a_get_whose_connection_was_closed_is_sent_again_and_a_post_is_not(self):
        for deed in (close, reset):
            server = self.rude(deed)
            with gateway(server.url) as front:
                self.assertEqual(fetch(front.port, "/get").status, 502)
                self.assertEqual(server.count, 2)
                self.assertEqual(fetch(front.port, "/post", "POST", b"once").status, 502)
                self.assertEqual(server.count, 3)
            with gateway(server.url, "--retries", "0") as front:
                self.assertEqual(fetch(front.port, "/get").status, 502)
                self.assertEqual(server.count, 4)


NOT_HERE = 77


class PortsRunOut(UpstreamTest):
    """In a network of its own, which has eight local ports."""

    def test_without_a_port_to_connect_from_some_fail_and_nothing_else(self):
        within = ["unshare", "--map-root-user", "--net", sys.executable, __file__, "--in-a-network-of-eight-ports"]
        if subprocess.run(within[:3] + ["true"], capture_output=True).returncode != 0:
            self.skipTest("no namespaces here")
        done = subprocess.run(within, capture_output=True, text=True, timeout=100)
        if done.returncode == NOT_HERE:
            self.skipTest("the kernel's settings cannot be written here")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


def in_a_network_of_eight_ports():
    with socket.socket() as s:  # up with lo
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file:
            file.write("40000 40007")
    except OSError:
        return NOT_HERE
    release = threading.Event()

    def answer(request):
        if request.path != "/stale" and not release.is_set():
            release.wait(20)
        request.reply(200, b"good", Cache_Control="max-age=1, stale-if-error=60" if request.path == "/stale" else "no-store")

    def ask(path):
        s = socket.socket(socket.AF_UNIX)
        s.connect(address)
        s.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
        return s

    def status_of(s):
        with s:
            received = b""
            while piece := s.recv(65536):
                received += piece
        return int(received.split(b" ")[1])
    with tempfile.TemporaryDirectory() as folder, Origin(answer, 50001) as origin, \
            Origin(answer, 50002) as other:
        address = f"{folder}/socket"
        # One thread: the connections that another keeps for later are ports that this one cannot have.
        with gateway(origin.url, other.url, "--unhealthy-after", "1", "--threads", "1",
                     listen=f"unix://{address}") as server:
            assert status_of(ask(b"/stale")) == 200
            time.sleep(1.2)
            sockets = [ask(b"/%d" % i) for i in range(40)]  # eight ports for each of two origins
            end = time.time() + 20
            while origin.count() + other.count() < 17:
                assert time.time() < end, (origin.count(), other.count(), server.log)
                time.sleep(0.01)
            time.sleep(0.2)
            assert status_of(ask(b"/stale")) == 200
            release.set()
            statuses = [status_of(s) for s in sockets]
            assert statuses.count(200) >= 16 and set(statuses) <= {200, 502}, statuses
            assert 502 in statuses, statuses
            assert [status_of(ask(b"/later")) for _ in range(20)] == [200] * 20
        assert "left out" not in server.log, server.log  # it is not the origins' fault


class SeveralOrigins(UpstreamTest):
    def test_they_share_the_requests_by_weight_and_have_one_cache(self):
        origins = [self.origin(lambda r: r.reply(200, r.headers["Host"].encode(), Cache_Control="max-age=60"))
                   for _ in range(2)]
        server = self.gateway(origins[0].url, f"{origins[1].url} weight=3")
        bodies = [fetch(server.port, f"/{i}").body for i in range(40)]
        hosts = [f"127.0.0.1:{origin.port}".encode() for origin in origins]
        self.assertEqual([bodies.count(host) for host in hosts], [10, 30])  # and Host is each one's own
        for i in range(40):
            again = fetch(server.port, f"/{i}")
            self.assertEqual(again.body, bodies[i])
            self.assertIn("; hit", again["Cache-Status"])
        self.assertEqual(sum(origin.count() for origin in origins), 40)

    def test_every_request_is_answered_though_an_origin_fails_and_is_left_out(self):
        def face(deed):
            bad, good = self.rude(deed), self.origin()
            with gateway(bad.url, good.url, "--first-byte-timeout", "1s", "--unhealthy-time", "1m") as server:
                statuses = [self.fetch_all(server.port, [f"/{i}"])[0] for i in range(20)]
                # What may not be sent again fails three times, then the origin is left out.
                allowed = 0 if deed in (close, reset) else 3
                self.assertLessEqual(20 - statuses.count(200), allowed, (deed.__name__, statuses))
                self.assertEqual(bad.count, 3, deed.__name__)
                self.assertEqual(statuses[8:], [200] * 12)
            self.assertEqual(len(re.findall(rf"origin 127.0.0.1:{bad.port} is left out", server.log)), 1, server.log)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(face, [close, reset, cut_in_head, cut_in_body, garbage, broken, stall, stall_in_body]))

    def test_an_origin_that_refuses_costs_no_request(self):
        port, good = free_port(), self.origin()
        with gateway(f"http://127.0.0.1:{port}", good.url) as server:
            for i in range(20):
                self.assertEqual(fetch(server.port, f"/{i}").status, 200)
                # Not a byte was sent: even what may not be sent twice goes to the other.
                self.assertEqual(fetch(server.port, f"/{i}", "POST", b"body").status, 200)
        self.assertIn(f"origin 127.0.0.1:{port} is left out: connection refused", server.log)

    def test_one_that_comes_back_is_asked_again(self):
        port, good = free_port(), self.origin()
        server = self.gateway(f"http://127.0.0.1:{port}", good.url, "--unhealthy-time", "200ms", "--slow-start", "0")
        for i in range(10):
            self.assertEqual(fetch(server.port, f"/{i}").status, 200)
        back = Origin(lambda r: r.reply(200, b"back"), port)
        self.addCleanup(back.stop)
        end = time.time() + 20
        while fetch(server.port, f"/{time.time()}").body != b"back":
            self.assertLess(time.time(), end)
            time.sleep(0.02)
        self.assertIn(f"origin 127.0.0.1:{port} is asked again", server.log)

    def test_if_all_fail_all_are_asked(self):
        origins = [self.rude(broken) for _ in range(2)]
        with gateway(*(origin.url for origin in origins), "--unhealthy-time", "1m",
                     "--breaker-failures", "0") as server:
            for i in range(20):
                self.assertEqual(fetch(server.port, f"/{i}").status, 503)
            self.assertEqual(sum(origin.count for origin in origins), 20)
        self.assertEqual(len(re.findall("all are asked nevertheless", server.log)), 1)

    def test_retries_are_a_tenth_at_most(self):
        origins = [self.rude(close) for _ in range(2)]
        with gateway(*(origin.url for origin in origins), "--unhealthy-after", "0", "--retries", "5",
                     "--breaker-failures", "0") as server:
            began = time.monotonic()
            for i in range(100):
                self.assertEqual(fetch(server.port, f"/{i}").status, 502)
            seconds = time.monotonic() - began
            total = sum(origin.count for origin in origins)
            self.assertGreater(total, 100)
            self.assertLessEqual(total, 100 + 10 + 3 * (int(seconds) + 2))

    def test_health_checks_leave_out_who_fails_them_and_bring_back_who_passes(self):
        healthy = [True]

        def answer(request):
            if request.path == "/health":
                request.reply(200 if healthy[0] else 500, b"")
            else:
                request.reply(200, b"checked")
        checked = self.origin(answer)
        other = self.origin(lambda r: r.reply(200, b"other"))
        server = self.gateway(checked.url, other.url, "--check-path", "/health", "--check-interval", "100ms",
                              "--slow-start", "0", "--threads", "2")

        def wait_for(wanted):
            end = time.time() + 20
            while True:
                bodies = {fetch(server.port, f"/{time.time()}").body for _ in range(8)}
                if bodies == wanted:
                    return
                self.assertLess(time.time(), end, bodies)
                time.sleep(0.02)
        wait_for({b"checked", b"other"})
        healthy[0] = False
        wait_for({b"other"})
        healthy[0] = True
        wait_for({b"checked", b"other"})
        self.assertIn("is left out: its check was answered 500", server.log)
        self.assertGreater(other.count("/health"), 3)  # one of the two threads asks
        seen, began = checked.count("/health"), time.monotonic()
        time.sleep(0.5)
        self.assertLess(checked.count("/health") - seen, 16 * (time.monotonic() - began))


class Coalescing(UpstreamTest):
    def test_who_waits_too_long_for_anothers_request_asks_anew(self):
        release, asked = threading.Event(), []
        self.addCleanup(release.set)

        def answer(request):
            asked.append(request.path)
            if len(asked) == 1:
                release.wait(20)
                request.reply(200, b"late", Cache_Control="max-age=60")
            else:
                request.reply(200, b"second", Cache_Control="max-age=60")
        origin = self.origin(answer)
        server = self.gateway(origin.url, "--coalesce-timeout", "300ms", "--threads", "2")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(fetch(server.port, "/x").body)) for _ in range(20)]
        for thread in threads:
            thread.start()
        end = time.time() + 20
        while len(answers) < 19:
            self.assertLess(time.time(), end, (answers, asked))
            time.sleep(0.02)
        self.assertEqual(set(answers), {b"second"})
        self.assertEqual(len(asked), 2)  # one anew for all nineteen
        release.set()
        for thread in threads:
            thread.join()
        self.assertEqual(answers[19], b"late")
        again = fetch(server.port, "/x")
        self.assertEqual(again.body, b"second")  # which is the newer
        self.assertIn("; hit", again["Cache-Status"])

    def crowd(self, port, path, count):
        """So many clients that have asked and wait for their answers."""
        sockets = [socket.create_connection(("127.0.0.1", port), 30) for _ in range(count)]
        for s in sockets:
            self.addCleanup(s.close)
            s.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
        return sockets

    def all_of(self, sockets):
        bodies = []
        for s in sockets:
            received = b""
            while piece := s.recv(65536):
                received += piece
            bodies.append(received.partition(b"\r\n\r\n")[2])
        return bodies

    def wait_for_count(self, origin, count):
        end = time.time() + 20
        while origin.count() < count:
            self.assertLess(time.time(), end, origin.count())
            time.sleep(0.01)

    def test_a_crowd_is_answered_from_a_stale_entry_while_one_request_is_under_way(self):
        release, count = threading.Event(), [0]
        self.addCleanup(release.set)

        def answer(request):
            count[0] += 1
            mine = count[0]
            if mine > 1:
                release.wait(20)
            request.reply(200, b"%d" % mine, Cache_Control="max-age=1, stale-while-revalidate=60")
        origin = self.origin(answer)
        server = self.gateway(origin.url, "--threads", "2")
        fetch(server.port, "/x")
        time.sleep(1.2)
        self.assertEqual(self.all_of(self.crowd(server.port, b"/x", 100)), [b"1"] * 100)  # the origin has not answered
        self.wait_for_count(origin, 2)
        self.assertEqual(self.all_of(self.crowd(server.port, b"/x", 100)), [b"1"] * 100)
        self.assertEqual(origin.count(), 2)
        release.set()
        end = time.time() + 20
        while fetch(server.port, "/x").body != b"2":
            self.assertLess(time.time(), end)
            time.sleep(0.01)

    def test_what_is_known_not_to_be_shared_is_asked_for_by_all_at_once(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def answer(request):
            release.wait(20)
            request.reply(200, b"mine", Cache_Control="private")
        origin = self.origin(answer)
        server = self.gateway(origin.url, "--threads", "2")
        first = self.crowd(server.port, b"/x", 100)
        self.wait_for_count(origin, 1)
        time.sleep(0.1)
        self.assertEqual(origin.count(), 1)  # nobody knows yet
        release.set()
        self.assertEqual(self.all_of(first), [b"mine"] * 100)
        self.assertEqual(origin.count(), 100)
        release.clear()
        second = self.crowd(server.port, b"/x", 100)
        self.wait_for_count(origin, 200)  # all of them, and none has been answered
        release.set()
        self.assertEqual(self.all_of(second), [b"mine"] * 100)

    def test_an_uncacheable_answer_lets_all_go_at_once_within_the_bound(self):
        busy, peak, lock = [0], [0], threading.Lock()

        def answer(request):
            with lock:
                busy[0] += 1
                peak[0] = max(peak[0], busy[0])
            time.sleep(0.1)
            with lock:
                busy[0] -= 1
            request.reply(200, b"mine", Cache_Control="no-store")
        origin = self.origin(answer)
        server = self.gateway(origin.url, "--origin-connections", "20", "--threads", "1")
        self.assertEqual(self.fetch_all(server.port, ["/x"] * 100), [200] * 100)
        self.assertEqual(origin.count(), 100)
        self.assertLessEqual(peak[0], 20)
        self.assertGreater(peak[0], 10)


if __name__ == "__main__":
    if sys.argv[1:] == ["--in-a-network-of-eight-ports"]:
        sys.exit(in_a_network_of_eight_ports())
    unittest.main()
