"""What the gateway does on its own at its edge: problem documents, request ids, body limits, streams as they come."""
import http.client, json, re, socket, threading, time, unittest

from harness import Nuthatch, Origin, PATIENCE_S, fetch, free_port, raw

SERVED_ID = re.compile(r"[0-9a-f]{32}")


def gateway(url, *arguments, **options):
    return Nuthatch("gateway", url, "--memory", "64M", "--threads", "1", *arguments, **options)


class Problems(unittest.TestCase):
    def test_an_origin_that_cannot_be_reached_is_a_problem_document_with_an_id(self):
        with gateway(f"http://127.0.0.1:{free_port()}") as server:
            answer = fetch(server.port, "/")
            self.assertEqual((answer.status, answer["Content-Type"]), (502, "application/problem+json"))
            problem = json.loads(answer.body)
            self.assertEqual((problem["status"], problem["title"]), (502, "Bad Gateway"))
            self.assertRegex(problem["request_id"], SERVED_ID)
            again = json.loads(fetch(server.port, "/").body)
            self.assertNotEqual(problem["request_id"], again["request_id"])
            self.assertEqual(json.loads(fetch(server.port, "/", X_Request_Id="mine-1").body)["request_id"], "mine-1")
            for hostile in ("a b", "x" * 65, 'a"b', "a\\b"):
                self.assertRegex(json.loads(fetch(server.port, "/", X_Request_Id=hostile).body)["request_id"], SERVED_ID)

    def test_what_is_no_request_is_one_too(self):
        with gateway("http://127.0.0.1:1") as server:
            head, body = raw(server.port, b"GET / HTTP/1.1\r\n\r\n").split(b"\r\n\r\n")
            self.assertIn(b"Content-Type: application/problem+json", head)
            self.assertEqual(json.loads(body), {"title": "Bad Request", "status": 400})

    def test_so_is_one_client_too_many(self):
        with gateway("http://127.0.0.1:1", "--max-connections", "1") as server:
            with socket.create_connection(("127.0.0.1", server.port)) as first:
                first.sendall(b"GET / HTTP/1.1\r\n")
                answer = raw(server.port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                head, body = answer.split(b"\r\n\r\n")
                self.assertIn(b"503 Service Unavailable", head)
                self.assertIn(f"Content-Length: {len(body)}\r\n".encode(), head + b"\r\n")
                self.assertEqual(json.loads(body)["status"], 503)


class RequestIds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin(lambda request: request.reply(200, b"x", Cache_Control="max-age=60", X_Request_Id="origin-s"))
        cls.server = gateway(cls.origin.url, "--request-id", "yes")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0
        cls.origin.stop()

    def asked(self, path):
        return [headers.get_all("X-Request-Id") for _, at, headers, _ in self.origin.requests if at == path]

    def test_a_new_one_goes_both_ways(self):
        told = fetch(self.server.port, "/new").headers.get_all("X-Request-Id")
        self.assertEqual(len(told), 1)
        self.assertRegex(told[0], SERVED_ID)
        self.assertEqual(self.asked("/new"), [told])

    def test_a_sane_one_of_the_client_is_kept(self):
        self.assertEqual(fetch(self.server.port, "/kept", X_Request_Id="a.B-9_")["X-Request-Id"], "a.B-9_")
        self.assertEqual(self.asked("/kept"), [["a.B-9_"]])

    def test_a_hostile_one_is_replaced(self):
        answer = fetch(self.server.port, "/hostile", X_Request_Id="$(rm)")
        self.assertRegex(answer["X-Request-Id"], SERVED_ID)
        self.assertEqual(self.asked("/hostile"), [[answer["X-Request-Id"]]])

    def test_a_stored_answer_has_the_id_of_who_gets_it(self):
        first, second = (fetch(self.server.port, "/stored", X_Request_Id=name) for name in ("one", "two"))
        self.assertEqual((first["X-Request-Id"], second["X-Request-Id"]), ("one", "two"))
        self.assertIn("hit", second["Cache-Status"])
        self.assertEqual(self.asked("/stored"), [["one"]])

    def test_without_the_option_it_is_a_header_like_others(self):
        with gateway(self.origin.url) as server:
            self.assertEqual(fetch(server.port, "/plain", X_Request_Id="a b")["X-Request-Id"], "origin-s")
            self.assertEqual(self.asked("/plain"), [["a b"]])


class BodyLimit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin(lambda request: request.reply(200, str(len(request.body)).encode()))
        cls.server = gateway(cls.origin.url, "--request-body-max", "1k")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0
        cls.origin.stop()

    def test_up_to_the_limit_it_passes(self):
        self.assertEqual(fetch(self.server.port, "/", "POST", b"a" * 1024).body, b"1024")

    def test_a_byte_more_is_refused_before_it_is_read(self):
        before = self.origin.count()
        answer = raw(self.server.port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n",
                     shutdown=True)
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
        self.assertEqual(json.loads(answer.split(b"\r\n\r\n")[1])["status"], 413)
        self.assertEqual(self.origin.count(), before)

    def test_a_chunked_one_is_refused_when_it_has_become_too_large(self):
        chunk = b"200\r\n" + b"a" * 512 + b"\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE_S) as client:
            client.sendall(b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2)
            time.sleep(0.1)
            client.sendall(chunk)
            answer = b""
            while piece := client.recv(65536):
                answer += piece
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
        self.assertEqual(self.origin.count("/chunked"), 0)  # it never had the whole of it
        answer = fetch(self.server.port, "/chunked", "POST", iter([b"a" * 512, b"b" * 512]))
        self.assertEqual(answer.body, b"1024")


class Streams(unittest.TestCase):
    def test_events_come_as_they_are_sent_and_are_not_stored(self):
        go_on = threading.Semaphore(0)

        def answer(request):
            request.send_response(200)
            request.send_header("Content-Type", "text/event-stream")
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            for i in range(20):
                event = f"data: {i}\n\n".encode()
                request.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                request.wfile.flush()
                if not go_on.acquire(timeout=PATIENCE_S):
                    return
            request.wfile.write(b"0\r\n\r\n")
        with Origin(answer) as origin:
            for more in ((), ("--compress", "yes"), ("--loop", "epoll")):
                with gateway(origin.url, *more) as server:
                    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
                    connection.request("GET", "/events", headers={"Accept-Encoding": "gzip"})
                    response = connection.getresponse()
                    self.assertNotIn("stored", response.headers["Cache-Status"])
                    slowest = 0
                    for i in range(20):
                        begun = time.time()
                        expected = f"data: {i}\n\n".encode()
                        self.assertEqual(response.read(len(expected)), expected)
                        slowest = max(slowest, time.time() - begun)
                        go_on.release()
                    self.assertEqual(response.read(), b"")
                    self.assertLess(slowest, 1)  # nobody waits for more: held back, an event would never come
                    connection.close()

    def test_small_answers_wait_for_no_acknowledgement(self):
        def answer(request):  # which says its head and its body apart, and waits for none either
            request.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request.reply(200, b"x" * 100, Cache_Control="no-store")
        with Origin(answer) as origin, gateway(origin.url) as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
            times = []
            for _ in range(30):
                begun = time.time()
                fetch(server.port, "/", connection=connection)
                times.append(time.time() - begun)
            connection.close()
            self.assertLess(sorted(times)[15], 0.035)  # a delayed acknowledgement takes 40 ms

    def test_redirects_are_passed_on_and_not_followed(self):
        with Origin(lambda request: request.reply(302, Location="http://169.254.169.254/latest/meta-data")) as origin, \
                gateway(origin.url) as server:
            answer = fetch(server.port, "/")
            self.assertEqual((answer.status, answer["Location"]), (302, "http://169.254.169.254/latest/meta-data"))
            self.assertEqual(origin.count(), 1)


if __name__ == "__main__":
    unittest.main()
