"""HTTP/2 towards clients: real ones (curl, nghttp, h2load), the rules, flow control, and floods by hand."""
import os, signal, socket, ssl, struct, subprocess, tempfile, threading, time, unittest

from certificates import Certificates
from harness import FREED_IS_GONE, Nuthatch, Origin, fetch, raw
from http2_frames import *

LOOPS = ("uring", "epoll")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, timeout=60, **options)


class WithOrigin(unittest.TestCase):
    def serve(self, answer, *arguments, **options):
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--memory", "64M", *arguments, **options)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return origin, server

    def connect(self, server, **options):
        client = Http2(server.port, **options)
        self.addCleanup(client.close)
        return client


class RealClients(WithOrigin):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.made = Certificates(cls.folder.name)
        cls.large = os.urandom(8 << 20)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def answer(self, request):
        if request.path == "/large":
            request.reply(200, self.large)
        elif request.path == "/chunks":
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            for i in range(50):
                request.wfile.write(b"%x\r\n%s\r\n" % (1000 + i, b"x" * (1000 + i)))
            request.wfile.write(b"0\r\n\r\n")
        elif request.path == "/none":
            request.reply(204)
        else:
            request.reply(200, request.command.encode() + b":" + request.body, Cache_Control="max-age=60", ETag='"a"')

    def test_curl_on_both_loops_with_and_without_tls(self):
        large = os.path.join(self.folder.name, "large")
        with open(large, "wb") as file:
            file.write(self.large)
        for loop in LOOPS:
            for listen in ("http://127.0.0.1:0", "https://127.0.0.1:0"):
                origin, server = self.serve(self.answer, "--loop", loop, *self.made.options(), listen=listen)
                url = f"{listen.split(':')[0]}://localhost:{server.port}"
                curl = ["curl", "-sS", "--ipv4", "--cacert", self.made.cert("ca"),
                        "--http2" if "https" in url else "--http2-prior-knowledge"]
                first = run(*curl, "-i", f"{url}/a").stdout
                self.assertTrue(first.startswith(b"HTTP/2 200 \r\n"), first)
                self.assertIn(b"cache-status: nuthatch; fwd=uri-miss", first)
                # curl 7.88 cannot use a connection again that has begun with HTTP/2.
                again = [f"{url}/a"] * (2 if "https" in url else 1)
                said = run(*curl, "-i", *again).stdout
                self.assertEqual(said.count(b"cache-status: nuthatch; hit"), len(again), said)
                self.assertEqual(origin.count("/a"), 1)
                self.assertIn(b"HTTP/2 304", run(*curl, "-i", "-H", 'If-None-Match: "a"', f"{url}/a").stdout)
                head = run(*curl, "-I", f"{url}/a").stdout
                self.assertIn(b"content-length: 4", head)
                self.assertIn(b"HTTP/2 204", run(*curl, "-i", f"{url}/none").stdout)
                odd = "/[|]?filter[x]={^`}\\"
                self.assertEqual(run(*curl, "--globoff", url + odd).stdout, b"GET:")
                self.assertEqual(origin.count(odd), 1)
                self.assertEqual(run(*curl, f"{url}/large").stdout, self.large)
                self.assertEqual(len(run(*curl, f"{url}/chunks").stdout), sum(range(1000, 1050)))
                self.assertEqual(run(*curl, "-T", large, f"{url}/b").stdout, b"PUT:" + self.large)
                self.assertEqual(run(*curl, "-H", "Expect: 100-continue", "-d", "hello", f"{url}/b").stdout, b"POST:hello")

    def test_nghttp_and_h2load_are_content(self):
        for loop in LOOPS:
            origin, server = self.serve(self.answer, "--loop", loop)
            url = f"http://127.0.0.1:{server.port}"
            for streams in ("1", "100"):
                said = run("h2load", "-n", "1000", "-c", "5", "-m", streams, f"{url}/a").stdout
                self.assertIn(b"1000 succeeded, 0 failed, 0 errored", said)
            said = run("h2load", "-n", "20", "-c", "2", "-m", "10", f"{url}/large").stdout  # all at once, one window
            self.assertIn(b"20 succeeded, 0 failed, 0 errored", said)
            self.assertEqual(run("nghttp", f"{url}/a").stdout, b"GET:")

    def test_alpn_and_the_option(self):
        cases = (  # http2, what the client offers, what is chosen
            ("yes", ["h2", "http/1.1"], "h2"), ("yes", ["http/1.1"], "http/1.1"), ("yes", ["h2"], "h2"),
            ("yes", None, None), ("no", ["h2", "http/1.1"], "http/1.1"), ("no", ["h2"], ssl.SSLError))
        for option in ("yes", "no"):
            origin, server = self.serve(self.answer, *self.made.options(), "--http2", option,
                                        listen=["https://127.0.0.1:0", "http://127.0.0.1:0"])
            for _, offer, chosen in (case for case in cases if case[0] == option):
                context = ssl.create_default_context(cafile=self.made.cert("ca"))
                if offer:
                    context.set_alpn_protocols(offer)
                with socket.create_connection(("127.0.0.1", server.ports[0]), 30) as s:
                    if chosen is ssl.SSLError:
                        with self.assertRaises(chosen):
                            context.wrap_socket(s, server_hostname="localhost")
                        continue
                    with context.wrap_socket(s, server_hostname="localhost") as tls:
                        self.assertEqual(tls.selected_alpn_protocol(), chosen)
                        if chosen != "h2":  # and then it is HTTP/1.1 that is spoken, whatever comes
                            tls.sendall(PREFACE)
                            self.assertTrue(tls.recv(1000).startswith(b"HTTP/1.1 505"))
            if option == "no":
                self.assertTrue(raw(server.ports[1], PREFACE).startswith(b"HTTP/1.1 505"))


class Rules(WithOrigin):
    def setUp(self):
        def answer(request):
            request.reply(200, b"%d" % len(request.body), Connection="X-Hop", X_Hop="1", X_Kept="2")
        self.origin, self.server = self.serve(answer)
        self.client = self.connect(self.server)

    def test_what_the_origin_gets(self):
        more = [("cookie", "a=b"), ("x-one", "1"), ("cookie", "c=d"), ("te", "trailers"), ("cookie", "e=f")]
        self.assertEqual(self.client.fetch(path="/x?y=1", more=more)[0], 200)
        _, path, headers, _ = self.origin.requests[-1]
        self.assertEqual((path, headers.get_all("Cookie"), headers["X-One"], headers["TE"]),
                         ("/x?y=1", ["a=b; c=d; e=f"], "1", None))
        self.assertEqual(headers.get_all("Host"), [f"127.0.0.1:{self.origin.port}"])

    def test_what_is_refused_and_never_reaches_the_origin(self):
        good = request("/bad")
        cases = {  # what: fields of a request whose body does not follow
            "no method": good[1:], "no scheme": good[:1] + good[2:], "no path": good[:3],
            "no authority": good[:2] + good[3:],
            "a scheme of another kind": request("/bad", scheme="ftp"),
            "an empty path": request(""), "no slash": request("bad"), "the absolute form": request("http://a/bad"),
            "a space in the path": request("/bad x"), "a fragment": request("/bad#x"),
            "a path that is no URI's": request("/bad\xe9"), "a control in the path": request("/bad\x01"),
            "a star for GET": request("*"),
            "a method that is no token": request("/bad", method="GE T"), "no word at all": request("/bad", method=""),
            "two paths": [*good, (":path", "/bad")], "an unknown pseudo-header": [(":version", "2"), *good],
            "pseudo-headers last": [("x", "y"), *good],
            "a status": [(":status", "200"), *good],
            "user information": request("/bad", authority="u@a"), "a bad port": request("/bad", authority="a:x"),
            "another host": request("/bad", more=[("host", "b")]),
            "two hosts": request("/bad", more=[("host", "a"), ("host", "a")]),
            "upper case": request("/bad", more=[("X-Y", "z")]), "an empty name": request("/bad", more=[("", "z")]),
            "a space in a name": request("/bad", more=[("x y", "z")]),
            "a colon in a name": request("/bad", more=[("x:y", "z")]),
            "CR LF": request("/bad", more=[("x", "y\r\nz: 1")]), "LF": request("/bad", more=[("x", "y\nz")]),
            "NUL": request("/bad", more=[("x", "y\0")]), "a control": request("/bad", more=[("x", "\x7f")]),
            "white space around": request("/bad", more=[("x", " y")]),
            "LF in one of several cookies": request("/bad", more=[("cookie", "a=b"), ("cookie", "c\nd")]),
            "white space around a cookie": request("/bad", more=[("cookie", "a=b"), ("cookie", "c ")]),
            "connection": request("/bad", more=[("connection", "close")]),
            "keep-alive": request("/bad", more=[("keep-alive", "1")]),
            "proxy-connection": request("/bad", more=[("proxy-connection", "close")]),
            "transfer-encoding": request("/bad", more=[("transfer-encoding", "chunked")]),
            "upgrade": request("/bad", more=[("upgrade", "h2c")]), "te": request("/bad", more=[("te", "gzip")]),
            "a length and no body": request("/bad", more=[("content-length", "5")]),
            "a length that is none": request("/bad", more=[("content-length", "+0")]),
            "two lengths": request("/bad", more=[("content-length", "0"), ("content-length", "0")]),
            "an expectation": request("/bad", more=[("expect", "magic")]),
            "CONNECT with a path": request("/bad", method="CONNECT"),
            "extended CONNECT": [*request("/bad", method="CONNECT"), (":protocol", "websocket")]}
        for what, fields in cases.items():
            status, body, ended = self.client.answer(self.client.ask(fields))
            wanted = 417 if what == "an expectation" else 400
            self.assertTrue((status, ended) == (wanted, "end") or (status, ended) == (None, ("reset", PROTOCOL_ERROR)),
                            (what, status, ended))
        self.assertEqual(self.client.fetch(path="/good")[0], 200)  # the connection is as good as new
        self.assertEqual([path for _, path, _, _ in self.origin.requests], ["/good"])

    def test_a_length_must_be_that_of_the_body(self):
        for length, body, is_good in ((5, b"hello", True), (4, b"hello", False), (6, b"hello", False), (0, b"", True)):
            more = [("content-length", str(length))]
            answer = self.client.fetch(path=f"/{length}", method="POST", body=body, more=more)
            if is_good:
                self.assertEqual(answer, (200, str(length).encode(), "end"))
            else:
                self.assertEqual(answer[2], ("reset", PROTOCOL_ERROR))

    def test_limits_of_a_head(self):
        most = [("x-rewrite-url", "y")] * 99  # and Host; the origin, which has a limit of its own, does not get them
        self.assertEqual(self.client.fetch(path="/many", more=most)[0], 200)
        self.assertEqual(self.client.fetch(path="/many", more=[*most, ("host", "a")])[0], 200)
        self.assertEqual(self.client.fetch(path="/many", more=[*most, ("x", "y")])[0], 431)
        for fields, status in ((request(more=[(f"x{i}", "y") for i in range(200)]), 431),
                               (request("/" + "x" * 17000), 414),
                               (request(method="X" * 65), 501),
                               (request(more=[("x", "y" * 20000)]), 431)):
            whole, stream = block(fields), self.client.next_stream
            self.client.next_stream += 2
            pieces = [whole[i:i + 16000] for i in range(0, len(whole), 16000)]
            for i, piece in enumerate(pieces):
                flags = (END_HEADERS if i == len(pieces) - 1 else 0) | (END_STREAM if i == 0 else 0)
                self.client.send(frame(HEADERS if i == 0 else CONTINUATION, flags, stream, piece))
            self.assertEqual(self.client.answer(stream)[::2], (status, "end"))
        self.assertEqual(self.client.fetch()[0], 200)

    def test_fields_of_this_hop_are_not_in_the_answer(self):
        with Http2(self.server.port, settings=[]) as client:
            client.fetch()
            head = next(payload for kind, _, _, payload in client.frames if kind == HEADERS)
        self.assertNotIn(b"x-hop", head)

    def test_continue_is_said_when_the_body_is_wanted(self):
        stream = self.client.ask(method="POST", more=[("expect", "100-continue"), ("content-length", "5")], end=False)
        while self.client.answers.get(stream, [None])[0] != 100:
            self.client.read_frame()
        self.client.send(frame(DATA, END_STREAM, stream, b"hello"))
        self.assertEqual(self.client.answer(stream), (200, b"5", "end"))

    def test_interim_responses_go_through(self):
        def answer(request):
            request.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
            request.reply(200, b"x")
        _, server = self.serve(answer)
        client = self.connect(server)
        self.assertEqual(client.fetch(), (200, b"x", "end"))
        heads = [payload for kind, _, _, payload in client.frames if kind == HEADERS]
        self.assertEqual([status_of(head) for head in heads], [103, 200])

    def test_trailers_are_dropped(self):
        stream = self.client.ask(method="POST", body=b"hello", end=False)
        self.client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, block([("x-trailer", "1")])))
        self.assertEqual(self.client.answer(stream), (200, b"5", "end"))
        self.assertNotIn("X-Trailer", self.origin.requests[-1][2])

    def test_padding_and_priorities_are_taken(self):
        padded = bytes([3]) + struct.pack(">IB", 0, 15) + block(request(method="POST")) + b"\0\0\0"
        self.client.send(frame(PRIORITY, 0, 99, struct.pack(">IB", 0, 1)) +
                         frame(HEADERS, END_HEADERS | 0x8 | 0x20, 1, padded) +
                         frame(DATA, END_STREAM | 0x8, 1, bytes([4]) + b"hello" + b"\0" * 4))
        self.assertEqual(self.client.answer(1), (200, b"5", "end"))

    def test_a_preface_that_comes_byte_by_byte(self):
        with Http2(self.server.port, preface=False) as client:
            for byte in PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(request())):
                client.send(bytes([byte]))
            self.assertEqual(client.answer(1)[0], 200)

    def test_what_only_begins_like_a_preface_is_http_1(self):
        self.assertTrue(raw(self.server.port, b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 400"))
        self.assertTrue(raw(self.server.port, b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                        .startswith(b"HTTP/1.1 200"))

    def test_an_error_of_the_connection_ends_it(self):
        for piece in (frame(DATA, 0, 0, b"x"), frame(PING, 0, 0, b"short"), frame(HEADERS, END_HEADERS, 2, block(request())),
                      frame(SETTINGS, 0, 0, struct.pack(">HI", MAX_FRAME_SIZE, 1)), frame(PUSH_PROMISE, 4, 1, b"\0" * 8),
                      frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"), frame(DATA, 0, 9, b"x"),
                      frame(HEADERS, 0, 1, block(request())) + frame(DATA, 0, 1, b"x"), b"\xff" * 9):
            with self.connect(self.server) as client:
                client.send(piece)
                self.assertNotIn(client.read_until_closed(), (None, NO_ERROR), piece)
        self.server.wait_for("refused input")


class FlowControl(WithOrigin):
    def test_an_answer_waits_for_the_client_s_windows(self):
        body = os.urandom(300_000)
        origin, server = self.serve(lambda r: r.reply(200, body, Cache_Control="max-age=60"))
        for _ in range(2):  # from the origin, from the store
            client = self.connect(server, settings=[(INITIAL_WINDOW_SIZE, 1000)])
            stream = client.ask(path="/x")
            client.ping()
            client.ping()
            self.assertLessEqual(len(client.answers.get(stream, ("", b""))[1]), 1000)
            other = client.ask(path="/x")
            while sum(len(client.answers.get(s, ("", b""))[1]) for s in (stream, other)) < 2000:
                client.read_frame()
            client.send(b"".join(frame(WINDOW_UPDATE, 0, s, struct.pack(">I", 1 << 20)) for s in (stream, other)) +
                        frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)))
            self.assertEqual(client.answer(stream, open_window=False), (200, body, "end"))
            self.assertEqual(client.answer(other), (200, body, "end"))

    def test_a_stored_answer_stays_whole_whatever_becomes_of_its_entry(self):
        body = os.urandom(250_000)
        origin, server = self.serve(lambda r: r.reply(200, body if r.path == "/x" else os.urandom(1_000_000),
                                                      Cache_Control="max-age=600"), "--write-timeout", "10m")
        self.assertEqual(fetch(server.port, "/x").body, body)
        client = self.connect(server, settings=[(INITIAL_WINDOW_SIZE, 70_000)])
        ranges = [("range", "bytes=0-99999,110000-110009,150000-249999")]
        late, cut, parts = client.ask(path="/x"), client.ask(path="/x"), client.ask(path="/x", more=ranges)
        while sum(len(answer[1]) for answer in client.answers.values()) < 65535:  # the connection's window
            client.read_frame()
        client.send(frame(RST_STREAM, 0, cut, struct.pack(">I", CANCEL)))
        for i in range(75):  # more than there is memory for
            self.assertEqual(fetch(server.port, f"/{i}").status, 200)
        client.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 20)) +
                    b"".join(frame(WINDOW_UPDATE, 0, s, struct.pack(">I", 1 << 20)) for s in (late, parts)))
        self.assertEqual(client.answer(late, open_window=False), (200, body, "end"))
        status, several, end = client.answer(parts, open_window=False)
        self.assertEqual((status, end), (206, "end"))
        for part in (body[:100_000], body[110_000:110_010], body[150_000:]):
            self.assertEqual(several.count(b"\r\n\r\n" + part + b"\r\n--"), 1)
        self.assertEqual(client.fetch(path="/x"), (200, body, "end"))

    def test_a_body_that_the_origin_does_not_read_stays_with_the_client(self):
        go_on = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

            def serve():
                s, _ = listener.accept()
                with s:
                    go_on.wait(30)
                    got = b""
                    while b"\r\n0\r\n\r\n" not in got[-7:]:
                        got += s.recv(1 << 20)
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            thread = threading.Thread(target=serve)
            thread.start()
            with Nuthatch("gateway", f"http://127.0.0.1:{listener.getsockname()[1]}", "--threads", "1",
                          environment=FREED_IS_GONE) as server, Http2(server.port) as client:
                stream, window, sent = client.ask(method="POST", end=False), 65535, 0
                before = server.resident_kib()
                client.socket.settimeout(0.5)
                try:
                    while sent < 100 << 20:
                        while window < 16384:
                            kind, _, of, payload = client.read_frame()
                            if kind == WINDOW_UPDATE and of == stream:
                                window += int.from_bytes(payload, "big")
                        client.send(frame(DATA, 0, stream, b"x" * 16384))
                        window, sent = window - 16384, sent + 16384
                except TimeoutError:
                    pass
                self.assertLess(sent, 20 << 20)  # the kernel's buffers, and little more
                self.assertLess(server.resident_kib() - before, 8 << 10)
                self.assertEqual(client.answers, {})
                client.socket.settimeout(30)
                go_on.set()
                client.send(frame(DATA, END_STREAM, stream))
                self.assertEqual(client.answer(stream), (200, b"ok", "end"))
            thread.join()

    def test_one_slow_stream_does_not_hold_the_others(self):
        release = threading.Event()

        def answer(request):
            if request.path == "/slow":
                release.wait(30)
            request.reply(200, request.path.encode())
        origin, server = self.serve(answer)
        client = self.connect(server)
        slow = client.ask(path="/slow")
        for i in range(50):
            self.assertEqual(client.fetch(path=f"/{i}"), (200, f"/{i}".encode(), "end"))
        self.assertNotIn(slow, client.answers)
        release.set()
        self.assertEqual(client.answer(slow), (200, b"/slow", "end"))

    def test_more_streams_than_allowed_are_refused(self):
        release = threading.Event()

        def answer(request):
            release.wait(30)
            request.reply(200, b"x")
        origin, server = self.serve(answer)
        client = self.connect(server)
        # Before the server's SETTINGS are acknowledged they bind nobody: what is too much is refused, unprocessed.
        streams = [client.ask(path=f"/{i % 3}") for i in range(103)]
        for stream in streams[100:]:
            self.assertEqual(client.answer(stream), (None, b"", ("reset", REFUSED_STREAM)))
        release.set()
        for stream in streams[:100]:
            self.assertEqual(client.answer(stream), (200, b"x", "end"))


class Endings(WithOrigin):
    def test_an_answer_that_cannot_be_completed_is_reset(self):
        def answer(request):
            request.send_response(200)
            request.send_header("Content-Length", "1000")
            request.end_headers()
            request.wfile.write(b"half")
            request.close_connection = True
        origin, server = self.serve(answer)
        client = self.connect(server)
        self.assertEqual(client.fetch()[2], ("reset", INTERNAL_ERROR))
        client.ping()

    def test_a_request_is_cut_short_while_a_frame_of_its_answer_waits_for_room(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            def serve():  # an origin that answers before it has read the request's body
                for _ in range(3):
                    origin, _ = listener.accept()
                    origin.recv(65536)
                    try:
                        origin.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 50000000\r\n\r\n" +
                                       bytes(50_000_000))
                    except OSError:
                        pass
                    origin.close()
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            server = Nuthatch("gateway", f"http://127.0.0.1:{listener.getsockname()[1]}")
            self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
            for _ in range(3):
                client = self.connect(server, settings=[(INITIAL_WINDOW_SIZE, 1 << 30)])
                client.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30)))
                client.ask(fields=request(method="POST"), body=b"some", end=False)
                time.sleep(0.5)  # all that the sockets take has been sent
                client.socket.shutdown(socket.SHUT_WR)
                time.sleep(0.2)
                client.read_until_closed()
            thread.join(30)
            self.assertEqual(Http2(server.port).fetch(fields=request(method="OPTIONS", path="*"))[0], 204)

    def test_a_bad_head_ends_its_stream_alone(self):
        origin, server = self.serve(lambda r: r.reply(200, b"x"), "--header-timeout", "1s")
        client = self.connect(server)
        stream = client.ask(fields=[(":method", "GET"), (":scheme", "http"), (":authority", "a")])
        self.assertEqual(client.answer(stream)[2][0], "reset")
        time.sleep(1.5)
        client.ping()
        self.assertEqual(client.fetch()[0], 200)

    def test_an_origin_that_answers_early_leaves_no_stream_behind(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = Nuthatch("gateway", f"http://127.0.0.1:{listener.getsockname()[1]}", "--body-timeout", "500ms",
                              "--idle-timeout", "1s")
            self.addCleanup(server.stop)
            client = self.connect(server)
            stream = client.ask(fields=request(method="POST"), body=b"some", end=False)
            origin, _ = listener.accept()
            self.addCleanup(origin.close)
            origin.recv(65536)
            origin.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            self.assertEqual(client.answer(stream)[:2], (200, b"ok"))
            begun = time.time()
            client.read_until_closed()  # it is idle, so it is closed
            self.assertLess(time.time() - begun, 20)

    def test_a_client_s_reset_ends_what_it_asked_for(self):
        began, ended = threading.Event(), threading.Event()

        def answer(request):
            request.send_response(200)
            request.send_header("Cache-Control", "no-store")
            request.end_headers()
            began.set()
            try:
                while True:
                    request.wfile.write(b"x" * 10000)
                    time.sleep(0.001)
            except OSError:
                ended.set()
        origin, server = self.serve(answer)
        client = self.connect(server)
        stream = client.ask()
        while client.read_frame()[0] != DATA:
            pass
        client.send(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))
        self.assertTrue(ended.wait(30))
        client.ping()

    def test_an_answer_before_the_end_of_the_request(self):
        origin, server = self.serve(lambda r: None)
        client = self.connect(server)
        stream = client.ask(end=False)  # a GET with a body is refused at once
        self.assertEqual(client.answer(stream)[::2], (400, "end"))
        while client.read_frame()[::2] != (RST_STREAM, stream):
            pass
        self.assertEqual(client.frames[-1][3], struct.pack(">I", NO_ERROR))
        client.send(frame(DATA, 0, stream, b"x" * 10000) * 5)  # which was on its way
        client.ping()

    def test_sigterm_lets_the_streams_end_and_takes_no_more(self):
        release = threading.Event()

        def answer(request):
            release.wait(30)
            request.reply(200, b"at last")
        for loop in LOOPS:
            release.clear()
            origin = Origin(answer)
            with Nuthatch("gateway", origin.url, "--loop", loop) as server:
                client, idle = self.connect(server), self.connect(server)
                stream = client.ask(path=f"/{loop}")
                idle.ping()
                client.ping()
                os.kill(server.pid, signal.SIGTERM)
                self.assertEqual(idle.read_until_closed(), NO_ERROR)
                while [kind for kind, _, _, _ in client.frames].count(GOAWAY) < 2:
                    kind, flags, _, payload = client.read_frame()
                    if kind == PING and not flags & ACK:
                        client.send(frame(PING, ACK, 0, payload))
                late = client.ask(path="/late")
                release.set()
                self.assertEqual(client.answer(stream), (200, b"at last", "end"))
                self.assertEqual(client.read_until_closed(), NO_ERROR)
                self.assertNotIn(late, client.answers)
                client.close()
                idle.close()
                self.assertEqual(server.wait(), 0)
            origin.stop()

    def test_who_sends_no_more_is_still_answered_what_was_asked_in_full(self):
        release = threading.Event()

        def answer(request):
            release.wait(30)
            request.reply(200, b"at last")
        origin, server = self.serve(answer)
        client = self.connect(server)
        whole, half = client.ask(), client.ask(method="POST", end=False)
        client.ping()
        client.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(client.answer(half, open_window=False), (None, b"", ("reset", CANCEL)))
        release.set()
        self.assertEqual(client.answer(whole, open_window=False), (200, b"at last", "end"))
        self.assertEqual(client.read_until_closed(), NO_ERROR)

    def test_a_silent_client_is_told_to_go(self):
        origin, server = self.serve(lambda r: r.reply(200, b"x"), "--idle-timeout", "700ms", "--header-timeout", "700ms",
                                    "--body-timeout", "700ms")
        client = self.connect(server)
        self.assertEqual(client.fetch()[0], 200)
        self.assertEqual(client.read_until_closed(), NO_ERROR)
        client = self.connect(server)  # PINGs alone keep no connection
        end = time.time() + 20
        with self.assertRaises((Gone, ConnectionError)):
            while time.time() < end:
                client.ping()
                time.sleep(0.05)
        client = self.connect(server)  # a head that does not end
        client.ping()
        client.send(frame(HEADERS, 0, 1, block(request())))
        self.assertEqual(client.read_until_closed(), ENHANCE_YOUR_CALM)
        client = self.connect(server)  # a body that does not end
        self.assertEqual(client.answer(client.ask(method="POST", body=b"x", end=False))[0], 408)
        client = self.connect(server, preface=False)  # not even a preface
        client.send(PREFACE[:10])
        with self.assertRaises((Gone, ConnectionError)):
            client.read_frame()


    def test_a_body_that_never_stops_and_never_comes_is_given_up(self):
        origin, server = self.serve(lambda r: r.reply(200, b"x"), "--body-timeout", "700ms", "--body-rate-min", "10k")
        client = self.connect(server)
        begun = time.time()
        stream = client.ask(method="POST", body=b"x", end=False)
        try:
            for _ in range(200):
                client.send(frame(DATA, 0, stream, b"x"))
                time.sleep(0.05)
                if server.log.count("comes too slowly"):
                    break
        finally:
            self.assertEqual(client.answer(stream)[0], 408)
        self.assertLess(time.time() - begun, 20)
        self.assertEqual(client.fetch()[0], 200)  # the connection is as good as before

    def serve_at_a_rate(self):
        def answer(request):
            if request.path == "/events":
                request.send_response(200)
                request.send_header("Content-Type", "text/event-stream")
                request.send_header("Connection", "close")
                request.end_headers()
                for _ in range(3):
                    request.wfile.write(b"data: a\n\n")
                    time.sleep(1.5)
            else:
                request.reply(200, b"x" * (1 << 20 if request.path == "/large" else 1))
        return self.serve(answer, "--write-timeout", "700ms", "--answer-rate-min", "10k")[1]

    def open_window(self, client, stream, size, times, every_s=0.05):
        for _ in range(times):
            try:
                client.send(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size)))
            except OSError:  # it was ended
                return
            time.sleep(every_s)

    def test_an_answer_whose_stream_lets_it_through_byte_by_byte_is_given_up_and_no_other(self):
        server = self.serve_at_a_rate()
        client = self.connect(server, settings=((INITIAL_WINDOW_SIZE, 10),))
        slow, patient, fast = client.ask(path="/large"), client.ask(path="/events"), client.ask(path="/large")
        threading.Thread(target=self.open_window, args=(client, patient, 50, 1)).start()
        for _ in range(100):
            self.open_window(client, slow, 1, 1)
            self.open_window(client, fast, 2000, 1)
            if server.log.count("too slowly"):
                break
        self.assertEqual(client.answer(slow, open_window=False)[2], ("reset", CANCEL))
        self.assertLess(len(client.answers[slow][1]), 200)
        self.open_window(client, fast, 2000, 20)  # no matter how long it takes, as long as it moves
        self.assertEqual(client.answers[fast][2], "")
        client.send(frame(RST_STREAM, 0, fast, struct.pack(">I", CANCEL)))
        self.assertEqual(client.answer(patient, open_window=False), (200, b"data: a\n\n" * 3, "end"))
        self.assertEqual(server.log.count("too slowly"), 1)
        self.assertEqual(client.fetch()[1], b"x")  # the connection is as good as before

    def test_a_connection_that_lets_answers_through_byte_by_byte_is_given_up(self):
        server = self.serve_at_a_rate()
        client = self.connect(server, settings=((INITIAL_WINDOW_SIZE, 1 << 20),))
        client.ask(path="/large")
        client.ask(path="/large")
        threading.Thread(target=self.open_window, args=(client, 0, 1, 200)).start()
        self.assertEqual(client.read_until_closed(), ENHANCE_YOUR_CALM)
        server.wait_for("it opens its windows for its answers too slowly")
        self.assertLess(sum(len(body) for _, body, _ in client.answers.values()), 66000)
        self.assertEqual(self.connect(server).fetch()[1], b"x")


class Floods(WithOrigin):
    """What costs a client little and would cost us much: it is told to calm down, soon, and nobody else is disturbed."""

    def setUp(self):
        def answer(request):
            time.sleep(0.005)
            request.reply(200, b"x" * 1000, Cache_Control="no-store" if request.path == "/x" else "max-age=60")
        self.origin, self.server = self.serve(answer, "--threads", "1", environment=FREED_IS_GONE)
        self.assertEqual(fetch(self.server.port, "/kept").status, 200)

    def check_flood(self, piece, most=100_000):
        with Http2(self.server.port) as client:
            client.ping()
            before = self.server.resident_kib()
            began = time.time()
            code = client.flood(lambda: piece(client), most, times=50)
            self.assertEqual(code, ENHANCE_YOUR_CALM)
            self.assertLess(client.flooded, most)
            self.assertLess(time.time() - began, 10)
            self.assertLess(self.server.resident_kib() - before, 20 << 10)
        self.assertEqual(fetch(self.server.port, "/kept").status, 200)
        self.server.wait_for("refused input from .*HTTP/2")

    def ask_bytes(self, client):
        stream, client.next_stream = client.next_stream, client.next_stream + 2
        return stream, frame(HEADERS, END_HEADERS | END_STREAM, stream, block(request("/x")))

    def test_rapid_reset(self):
        def piece(client):
            stream, asked = self.ask_bytes(client)
            return asked + frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))
        self.check_flood(piece)
        self.assertLess(self.origin.count("/x"), 400)

    def test_resets_that_the_client_provokes(self):
        def by_window(client):
            stream, asked = self.ask_bytes(client)
            return asked + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0))

        def by_overflow(client):
            stream, asked = self.ask_bytes(client)
            return asked + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 0x7fffffff))

        def by_a_bad_field(client):
            stream, client.next_stream = client.next_stream, client.next_stream + 2
            return frame(HEADERS, END_HEADERS | END_STREAM, stream, block(request(more=[("connection", "x")])))
        for piece in (by_window, by_overflow, by_a_bad_field):
            with Http2(self.server.port) as client:
                code = client.flood(lambda: piece(client), 100_000, times=20)
                self.assertNotIn(code, (None, NO_ERROR))
                self.assertLess(client.flooded, 50_000)
        self.assertLess(self.origin.count("/x"), 1000)
        self.assertEqual(fetch(self.server.port, "/kept").status, 200)

    def test_continuation_without_end(self):
        begun = []

        def piece(client):
            if client in begun:
                return frame(CONTINUATION, 0, 1, block([("x", "y")]))
            begun.append(client)
            return frame(HEADERS, 0, 1, block(request()))
        self.check_flood(piece)

    def test_empty_continuations_without_end(self):
        begun = []

        def piece(client):
            if client in begun:
                return frame(CONTINUATION, 0, 1)
            begun.append(client)
            return frame(HEADERS, 0, 1, block(request()))
        self.check_flood(piece)

    def test_a_small_block_that_means_a_huge_list(self):
        with Http2(self.server.port) as client:
            large = b"\x40" + number(1, 7) + b"x" + number(3900, 7) + b"y" * 3900  # a literal that the table takes up
            client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(request()) + large + b"\xbe" * 12000))
            self.assertEqual(client.read_until_closed(), ENHANCE_YOUR_CALM)

    def test_pings(self):
        self.check_flood(lambda client: frame(PING, 0, 0, b"12345678"))

    def test_pings_and_settings_of_a_client_that_does_not_read(self):
        for piece in (frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1))):
            with Http2(self.server.port) as client:
                client.socket.settimeout(5)
                with self.assertRaises((ConnectionError, TimeoutError)):
                    for _ in range(10_000):
                        client.send(piece * 100)
                self.assertLess(self.server.resident_kib(), 400 << 10)
        self.assertEqual(fetch(self.server.port, "/kept").status, 200)

    def test_settings(self):
        self.check_flood(lambda client: frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1)))
        self.check_flood(lambda client: frame(SETTINGS, 0, 0))

    def test_empty_data(self):
        with Http2(self.server.port) as client:
            stream = client.ask(method="POST", end=False)
            self.assertEqual(client.flood(lambda: frame(DATA, 0, stream), 100_000, times=50), ENHANCE_YOUR_CALM)

    def test_priorities_and_window_updates(self):
        self.check_flood(lambda client: frame(PRIORITY, 0, 5, struct.pack(">IB", 0, 1)))
        self.check_flood(lambda client: frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1)))

    def test_a_window_that_stays_shut(self):
        origin, server = self.serve(lambda r: r.reply(200, b"x" * 100_000, Cache_Control="max-age=60"), "--threads", "1",
                                    "--write-timeout", "1s", "--idle-timeout", "2s", environment=FREED_IS_GONE)
        self.assertEqual(fetch(server.port, "/a").status, 200)
        before = server.resident_kib()
        clients = [Http2(server.port, settings=[(INITIAL_WINDOW_SIZE, 0)]) for _ in range(10)]
        for client in clients:
            for _ in range(100):
                client.ask(path="/a")
        for client in clients:
            client.ping()
        self.assertLess(server.resident_kib() - before, 10 * 5 << 10)  # all answers are 100 MB
        for client in clients:
            self.assertEqual(client.answer(1)[::2], (200, ("reset", CANCEL)))
            self.assertEqual(client.read_until_closed(), NO_ERROR)
            client.close()
        server.wait_for("it opens no window for its answers")
        self.assertEqual(fetch(server.port, "/a").status, 200)

    def test_an_honest_client_is_never_told_to_calm_down(self):
        with Http2(self.server.port) as client:
            for _ in range(30):  # as a page that is left again and again
                streams = [client.ask(path="/kept") for _ in range(50)]
                for stream in streams:
                    self.assertEqual(client.answer(stream)[0], 200)
            for _ in range(20):
                stream = client.ask(path="/x")
                client.send(frame(RST_STREAM, 0, stream, struct.pack(">I", CANCEL)))
                client.ping()
            self.assertIsNone(client.goaway)


if __name__ == "__main__":
    unittest.main()
