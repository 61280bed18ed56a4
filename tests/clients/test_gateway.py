"""The gateway in front of real servers: nginx, and a Python server that does what each test needs."""
import gzip, http.client, os, socket, struct, subprocess, threading, time, unittest

from harness import FREED_IS_GONE, Nginx, Nuthatch, Origin, fetch, free_port, raw, wait_until_still


def gateway(origin_url, *arguments, **options):
    return Nuthatch("gateway", origin_url, "--memory", "64M", *arguments, **options)


class InFrontOfNginx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.large = os.urandom(30 << 20)
        cls.nginx = Nginx("location /cached/ { alias html/; add_header Cache-Control max-age=60; }"
                          "location /plain/ { alias html/; }"
                          "location /gone { return 410 'gone'; }",
                          [("a.json", b'{"a": 1}'), ("once.json", b'{"a": 1}'), ("large.bin", cls.large), ("empty", b"")])
        cls.server = gateway(cls.nginx.url)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0
        cls.nginx.__exit__(None, None, None)

    def test_a_file_is_fetched_once(self):
        first = fetch(self.server.port, "/cached/once.json")
        second = fetch(self.server.port, "/cached/once.json")
        self.assertEqual((first.status, first.body, second.body), (200, b'{"a": 1}', b'{"a": 1}'))
        self.assertIn("nuthatch; fwd=uri-miss", first["Cache-Status"])
        self.assertIn("nuthatch; hit", second["Cache-Status"])
        self.assertIsNotNone(second["Age"])
        self.assertEqual(first["ETag"], second["ETag"])
        self.assertEqual(first["Date"], second["Date"])

    def test_a_large_file_passes_through_unchanged(self):
        answer = fetch(self.server.port, "/plain/large.bin")
        self.assertEqual((answer.status, answer.body == self.large), (200, True))

    def test_an_empty_file(self):
        for _ in range(2):
            answer = fetch(self.server.port, "/cached/empty")
            self.assertEqual((answer.status, answer.body, answer["Content-Length"]), (200, b"", "0"))

    def test_head_is_answered_from_a_stored_get(self):
        whole = fetch(self.server.port, "/cached/a.json")
        head = fetch(self.server.port, "/cached/a.json", "HEAD")
        self.assertEqual((head.status, head.body, head["Content-Length"]), (200, b"", str(len(whole.body))))
        self.assertIn("hit", head["Cache-Status"])

    def test_a_client_that_has_it_gets_a_304(self):
        tag = fetch(self.server.port, "/cached/a.json")["ETag"]
        answer = fetch(self.server.port, "/cached/a.json", If_None_Match=tag)
        self.assertEqual((answer.status, answer.body, answer["ETag"]), (304, b"", tag))

    def test_an_error_status_passes_through(self):
        answer = fetch(self.server.port, "/gone")
        self.assertEqual((answer.status, answer.body), (410, b"gone"))

    def test_curl_is_content(self):
        out = subprocess.run(["curl", "-sS", "-i", f"http://127.0.0.1:{self.server.port}/cached/a.json"],
                             capture_output=True, timeout=30, check=True).stdout
        self.assertTrue(out.startswith(b"HTTP/1.1 200 OK\r\n"), out)
        self.assertTrue(out.endswith(b'{"a": 1}'), out)


class InFrontOfPython(unittest.TestCase):
    def serve(self, answer, *arguments, **options):
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        server = gateway(origin.url, *arguments, **options)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return origin, server

    def test_every_method_and_body_reaches_the_origin(self):
        origin, server = self.serve(lambda r: r.reply(200, r.command.encode() + b":" + r.body))
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"):
            body = os.urandom(200_000)
            self.assertEqual(fetch(server.port, "/x", method, body).body, method.encode() + b":" + body)

    def test_a_chunked_request_body_is_streamed(self):
        origin, server = self.serve(lambda r: r.reply(200, str(len(r.body)).encode()))
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/x", body=(b"x" * 10_000 for _ in range(300)), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(connection.getresponse().read(), b"3000000")
        connection.close()

    def test_expect_100_continue(self):
        origin, server = self.serve(lambda r: r.reply(200, r.body))
        with socket.create_connection(("127.0.0.1", server.port), 10) as s:
            s.sendall(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            self.assertTrue(s.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n\r\n"))
            s.sendall(b"hello")
            received = b""
            while not received.endswith(b"hello"):
                received += s.recv(1000)

    def test_what_may_be_stored(self):
        cases = [  # cache-control of the answer, other headers, is it stored?
            ("max-age=60", {}, True), ("s-maxage=60, max-age=0", {}, True), ("no-store", {}, False),
            ("private, max-age=60", {}, False), ("max-age=0", {}, False), ("no-cache, max-age=60", {}, False),
            (None, {}, False), ("max-age=60", {"Set_Cookie": "a=b"}, False),
            (None, {"Expires": "Wed, 01 Jan 2098 00:00:00 GMT"}, True), (None, {"Expires": "0"}, False),
            ("max-age=60", {"Vary": "*"}, False)]

        def answer(request):
            control, headers, _ = cases[int(request.path[1:])]
            request.reply(200, b"x", **({"Cache_Control": control} if control else {}), **headers)
        origin, server = self.serve(answer)
        for i, case in enumerate(cases):
            fetch(server.port, f"/{i}")
            hit = "; hit" in fetch(server.port, f"/{i}")["Cache-Status"]
            self.assertEqual((case, hit), (case, case[2]))

    def test_authorization_is_shared_only_with_permission(self):
        controls = {"/plain": "max-age=60", "/public": "public, max-age=60"}
        origin, server = self.serve(lambda r: r.reply(200, (r.headers["Authorization"] or "-").encode(),
                                                      Cache_Control=controls[r.path]))
        self.assertEqual(fetch(server.port, "/plain", Authorization="one").body, b"one")
        self.assertEqual(fetch(server.port, "/plain", Authorization="two").body, b"two")
        self.assertEqual(fetch(server.port, "/plain").body, b"-")
        self.assertEqual(fetch(server.port, "/public", Authorization="one").body, b"one")
        self.assertEqual(fetch(server.port, "/public", Authorization="two").body, b"one")

    def test_vary_keeps_variants_apart(self):
        origin, server = self.serve(lambda r: r.reply(200, (r.headers["Accept-Language"] or "-").encode(),
                                                      Cache_Control="max-age=60", Vary="Accept-Language"))
        for language in ("de", "fr", "de", "fr"):
            self.assertEqual(fetch(server.port, "/x", Accept_Language=language).body, language.encode())
        self.assertEqual(origin.count(), 2)

    def test_a_thousand_clients_one_request(self):
        release = threading.Event()

        def answer(request):
            release.wait(20)
            request.reply(200, b"y" * 5000, Cache_Control="max-age=60")
        origin, server = self.serve(answer, "--threads", "2")
        sockets = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(1000)]
        for s in sockets:
            s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        time.sleep(0.5)
        release.set()
        for s in sockets:
            received = b""
            while piece := s.recv(65536):
                received += piece
            self.assertTrue(received.endswith(b"\r\n\r\n" + b"y" * 5000), received[:300])
            s.close()
        self.assertEqual(origin.count("/slow"), 1)

    def test_followers_see_the_body_while_it_grows(self):
        go_on = threading.Event()

        def answer(request):
            request.send_response(200)
            request.send_header("Cache-Control", "max-age=60")
            request.send_header("Content-Length", "10")
            request.end_headers()
            request.wfile.write(b"first")
            request.wfile.flush()
            go_on.wait(20)
            request.wfile.write(b"later")
        origin, server = self.serve(answer)
        sockets = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(20)]
        for s in sockets:
            s.sendall(b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n")
        for s in sockets:
            received = b""
            while not received.endswith(b"first"):
                received += s.recv(4096)
        go_on.set()
        for s in sockets:
            self.assertEqual(s.recv(100), b"later")
            s.close()
        self.assertEqual(origin.count(), 1)

    def test_the_first_client_leaving_leaves_the_others_served(self):
        release = threading.Event()

        def answer(request):
            release.wait(20)
            request.reply(200, b"here", Cache_Control="max-age=60")
        origin, server = self.serve(answer)
        request = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        first = socket.create_connection(("127.0.0.1", server.port), 30)
        first.sendall(request)
        while origin.count() == 0:
            time.sleep(0.01)
        second = socket.create_connection(("127.0.0.1", server.port), 30)
        second.sendall(request)
        time.sleep(0.1)
        first.close()
        time.sleep(0.1)
        release.set()
        received = b""
        while piece := second.recv(4096):
            received += piece
        second.close()
        self.assertTrue(received.endswith(b"here"), received)
        self.assertEqual(origin.count(), 1)

    def test_an_unshareable_answer_is_given_to_nobody_else(self):
        count = [0]
        lock = threading.Lock()

        def answer(request):
            with lock:
                count[0] += 1
                mine = count[0]
            time.sleep(0.3)
            request.reply(200, str(mine).encode(), Cache_Control="private")
        origin, server = self.serve(answer)
        bodies = []
        threads = [threading.Thread(target=lambda: bodies.append(fetch(server.port, "/me").body)) for _ in range(30)]
        began = time.time()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(set(bodies)), 30)
        self.assertLess(time.time() - began, 5)  # 30 in a row would take 9 s

    def test_stale_answers_stand_in_for_a_failing_origin(self):
        failing = threading.Event()

        def answer(request):
            if failing.is_set():
                request.reply(500, b"broken")
            else:
                request.reply(200, b"good", Cache_Control="max-age=1, stale-if-error=60")
        origin, server = self.serve(answer)
        fetch(server.port, "/x")
        failing.set()
        time.sleep(2.1)
        stale = fetch(server.port, "/x")
        self.assertEqual((stale.status, stale.body), (200, b"good"))
        self.assertGreaterEqual(int(stale["Age"]), 2)
        self.assertIn("fwd=stale", stale["Cache-Status"])
        origin.stop()
        time.sleep(1.1)
        self.assertEqual(fetch(server.port, "/x").body, b"good")

    def test_a_stale_answer_is_revalidated(self):
        def answer(request):
            if request.headers["If-None-Match"] == '"v1"':
                request.reply(304, Cache_Control="max-age=60", ETag='"v1"')
            else:
                request.reply(200, b"body", Cache_Control="max-age=1", ETag='"v1"', X_Kept="yes")
        origin, server = self.serve(answer)
        fetch(server.port, "/x")
        time.sleep(1.1)
        again = fetch(server.port, "/x")
        self.assertEqual((again.status, again.body, again["X-Kept"]), (200, b"body", "yes"))
        self.assertIn("fwd-status=304", again["Cache-Status"])
        self.assertIn("; hit", fetch(server.port, "/x")["Cache-Status"])
        self.assertEqual(origin.count(), 2)

    def test_a_write_invalidates(self):
        version = [0]

        def answer(request):
            if request.command == "POST":
                version[0] += 1
                request.reply(201, b"")
            else:
                request.reply(200, str(version[0]).encode(), Cache_Control="max-age=60", Vary="Accept")
        origin, server = self.serve(answer)
        for accept in ("a/a", "b/b"):
            self.assertEqual(fetch(server.port, "/x", Accept=accept).body, b"0")
        fetch(server.port, "/x", "POST", b"new")
        for accept in ("a/a", "b/b"):
            self.assertEqual(fetch(server.port, "/x", Accept=accept).body, b"1")

    def test_a_truncated_answer_is_cut_and_not_stored(self):
        def answer(request):
            request.send_response(200)
            request.send_header("Cache-Control", "max-age=60")
            request.send_header("Content-Length", "1000")
            request.end_headers()
            request.wfile.write(b"short")
            request.wfile.flush()
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
        origin, server = self.serve(answer)
        for _ in range(2):
            with self.assertRaises((http.client.IncompleteRead, ConnectionError, http.client.HTTPException)):
                fetch(server.port, "/x")
        self.assertGreaterEqual(origin.count(), 2)

    def test_compressed_answers_are_left_alone(self):
        body = gzip.compress(b"hello" * 1000)
        origin, server = self.serve(lambda r: r.reply(200, body, Content_Encoding="gzip", Cache_Control="max-age=60"))
        for _ in range(2):
            answer = fetch(server.port, "/x")
            self.assertEqual((answer.body, answer["Content-Encoding"]), (body, "gzip"))

    def test_headers_that_could_poison_are_not_passed_on(self):
        origin, server = self.serve(lambda r: r.reply(200, str(r.headers).encode(), Cache_Control="max-age=60"))
        body = fetch(server.port, "/x", X_Forwarded_Host="evil", X_Original_URL="/evil", X_Rewrite_URL="/evil",
                     X_HTTP_Method_Override="DELETE", Forwarded="host=evil", X_Ordinary="kept").body
        self.assertNotIn(b"evil", body)
        self.assertNotIn(b"DELETE", body)
        self.assertIn(b"kept", body)

    def test_the_url_reaches_the_origin_byte_for_byte(self):
        origin, server = self.serve(lambda r: r.reply(200, r.path.encode(), Cache_Control="max-age=60"))
        for path in ("/a%2Fb;c=1?a=1;b=2&a=%26%3d", "/%e4?utm_x=1&cb=", "/?", "/a//b"):
            for _ in range(2):
                self.assertEqual(fetch(server.port, path).body, path.encode())

    def test_an_origin_that_refuses_is_a_502_and_a_slow_one_a_504(self):
        with gateway(f"http://127.0.0.1:{free_port()}") as server:
            self.assertEqual(fetch(server.port, "/").status, 502)
        stop = threading.Event()
        origin, server = self.serve(lambda r: stop.wait(5), "--first-byte-timeout", "300ms")
        self.assertEqual(fetch(server.port, "/").status, 504)
        stop.set()

    def test_a_slow_reader_does_not_fill_the_memory(self):
        total = 200 << 20
        sent = [0]

        def answer(request):
            if request.path != "/large":
                return request.reply(200, b"small")
            request.send_response(200)
            request.send_header("Content-Length", str(total))
            request.end_headers()
            piece = b"z" * (1 << 20)
            try:
                while sent[0] < total:
                    sent[0] += request.connection.send(piece)
            except OSError:
                pass
        origin, server = self.serve(answer, "--threads", "1", environment=FREED_IS_GONE)
        fetch(server.port, "/small")  # what the first request costs is no part of it
        before = server.resident_kib()
        with socket.create_connection(("127.0.0.1", server.port), 30) as s:
            s.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            s.recv(1000)
            # The origin is held back once the kernel's buffers are full: those of four sockets, some MiB each.
            self.assertLess(wait_until_still(lambda: sent[0]), total)
            # The gateway holds a window of 256 KiB. What is resident grows by 1 MiB, and by 2 to 4 with a sanitizer;
            # had the body been kept, by 200. The bound is far from both.
            self.assertLess(server.resident_kib() - before, 16 << 10)
            self.assertEqual(fetch(server.port, "/small").body, b"small")

    def test_a_field_that_connection_names_counts_as_absent_for_vary(self):
        def answer(request):
            language = request.headers["Accept-Language"] or "-"
            if request.headers["If-Modified-Since"]:
                request.reply(304, Cache_Control="max-age=60", Vary="Accept-Language")
            else:
                request.reply(200, language.encode(), Cache_Control="max-age=1", Vary="Accept-Language",
                              Last_Modified="Thu, 01 Jan 2026 00:00:00 GMT")
        origin, server = self.serve(answer)
        self.assertEqual(fetch(server.port, "/x", Accept_Language="de").body, b"de")
        time.sleep(1.1)
        fetch(server.port, "/x", Accept_Language="de", Connection="Accept-Language")
        self.assertEqual(fetch(server.port, "/x").body, b"-")

    def test_an_origin_that_falls_silent_in_a_body_does_not_block_its_url(self):
        silent = [True]

        def answer(request):
            request.send_response(200)
            request.send_header("Cache-Control", "max-age=60")
            request.send_header("Content-Length", "10")
            request.end_headers()
            request.wfile.write(b"first")
            request.wfile.flush()
            if silent[0]:
                time.sleep(3)
            request.wfile.write(b"later")
        origin, server = self.serve(answer, "--first-byte-timeout", "500ms")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            fetch(server.port, "/x")
        silent[0] = False
        self.assertEqual(fetch(server.port, "/x").body, b"firstlater")

    def test_clients_that_leave_at_once_cost_nothing_lasting(self):
        stop = threading.Event()
        self.addCleanup(stop.set)
        origin, server = self.serve(lambda r: stop.wait(20), "--origin-connections", "4", "--threads", "1",
                                    environment=FREED_IS_GONE)

        def crowd(name):
            clients = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(2000)]
            for i, client in enumerate(clients):
                client.sendall(b"GET /%s/%d HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n" % (name, i, b"y" * 8000))
            wait_until_still(server.cpu_seconds)
            for client in clients:  # with a reset
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            wait_until_still(server.cpu_seconds)
        empty = server.resident_kib()
        crowd(b"first")
        before = server.resident_kib()  # what was freed need not go back to the system, but must serve again
        crowd(b"second")
        # A crowd takes some 70 MiB, with a sanitizer more; less than 1 MiB of it is new the second time.
        self.assertLess(server.resident_kib() - before, (before - empty) / 4)

    def test_who_waits_for_a_connection_to_the_origin_does_not_wait_for_ever(self):
        stop = threading.Event()
        self.addCleanup(stop.set)
        origin, server = self.serve(lambda r: stop.wait(20), "--origin-connections", "1", "--threads", "1",
                                    "--first-byte-timeout", "1s", "--connect-timeout", "200ms")
        answers = []
        threads = [threading.Thread(target=lambda i=i: answers.append(fetch(server.port, f"/{i}").status))
                   for i in range(10)]
        began = time.time()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(set(answers), {504})
        self.assertLess(time.time() - began, 6)

    def test_one_clients_bad_request_does_not_fail_the_url_for_others(self):
        def answer(request):
            if request.headers["X-Evil"]:
                request.wfile.write(b"garbage\r\n\r\n")
                request.close_connection = True
            else:
                request.reply(200, b"fine", Cache_Control="no-store")
        origin, server = self.serve(answer)
        self.assertEqual(fetch(server.port, "/x", X_Evil="1").status, 502)
        self.assertEqual(fetch(server.port, "/x").body, b"fine")

    def test_a_304_without_a_date_is_as_old_as_its_coming(self):
        def answer(request):
            request.send_response_only(304 if request.headers["If-None-Match"] else 200)
            request.send_header("Cache-Control", "max-age=2")
            request.send_header("ETag", '"a"')
            if not request.headers["If-None-Match"]:
                request.send_header("Content-Length", "1")
            request.end_headers()
            if not request.headers["If-None-Match"]:
                request.wfile.write(b"x")
        origin, server = self.serve(answer)
        fetch(server.port, "/x")
        time.sleep(3.1)
        fetch(server.port, "/x")
        self.assertIn("; hit", fetch(server.port, "/x")["Cache-Status"])
        self.assertEqual(origin.count(), 2)

    def test_a_head_without_a_length_is_given_none(self):
        def answer(request):
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
        origin, server = self.serve(answer)
        for _ in range(10):
            self.assertIsNone(fetch(server.port, "/x", "HEAD")["Content-Length"])

    def test_interim_responses_go_through_and_are_not_stored(self):
        def answer(request):
            request.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n"
                                b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Early: 1\r\n\r\n")
            request.reply(body=b"whole", Cache_Control="max-age=60")

        interim = (b"HTTP/1.1 102 Processing\r\n\r\n"
                   b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Early: 1\r\n\r\n")
        with Origin(answer) as origin, gateway(origin.url) as server:
            ask = b"GET /%s HTTP/1.%d\r\nHost: a\r\nConnection: close\r\n\r\n"
            first = raw(server.port, ask % (b"a", 1))
            self.assertTrue(first.startswith(interim + b"HTTP/1.1 200 OK\r\n"), first)
            self.assertTrue(first.endswith(b"\r\n\r\nwhole"), first)
            self.assertNotIn(b"X-Early", first[len(interim):])
            self.assertTrue(raw(server.port, ask % (b"a", 1)).startswith(b"HTTP/1.1 200 OK\r\n"))
            # One that does not know of interim responses is spared them.
            self.assertTrue(raw(server.port, ask % (b"b", 0)).startswith(b"HTTP/1.1 200 OK\r\n"))
            self.assertEqual(origin.count(), 2)

    def test_get_with_a_body_is_refused(self):
        origin, server = self.serve(lambda r: r.reply(200, b"x"))
        self.assertEqual(fetch(server.port, "/x", "GET", b"body").status, 400)
        self.assertEqual(origin.count(), 0)

    def test_smuggling_attempts_never_reach_the_origin(self):
        origin, server = self.serve(lambda r: r.reply(200, b"x"))
        heads = [b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Content-Length: 5\r\nContent-Length: 6",
                 b"Content-Length: +5", b"Content-Length: 5,5", b"Transfer-Encoding: xchunked",
                 b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: ,chunked",
                 b"Connection: Host", b"Connection: Content-Length", b"X: a\nY: b", b"X : a", b"X: \x00"]
        for head in heads:
            received = raw(server.port, b"POST /x HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertTrue(received.startswith(b"HTTP/1.1 400 "), (head, received))
            self.assertEqual(received.count(b"HTTP/1.1 "), 1, (head, received))
        self.assertEqual(origin.count(), 0)


if __name__ == "__main__":
    unittest.main()
