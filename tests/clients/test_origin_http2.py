"""HTTP/2 towards origins: --origin-http2, against node's server."""
import concurrent.futures, contextlib, http.client, json, os, shutil, socket, ssl, struct, subprocess, tempfile, threading, time, unittest

from certificates import Certificates
from harness import Nuthatch, fetch, raw
from http2_frames import (DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INTERNAL_ERROR, PREFACE, RST_STREAM, SETTINGS, block,
                          frame)

HERE = os.path.dirname(os.path.abspath(__file__))


class Http2Origin:
    """tests/clients/http2_origin.js; `certificates`: null for none."""

    def __init__(self, certificates=None, name="server", streams=None):
        arguments = [certificates.key(name), certificates.cert(name)] if certificates else []
        self.process = subprocess.Popen(["node", os.path.join(HERE, "http2_origin.js"), *arguments, *([str(streams)] if streams else [])],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = int(self.process.stdout.readline())
        self.url = f"{'https' if certificates else 'http'}://127.0.0.1:{port}"

    def seen(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class ByHand:
    """A server that answers the first stream of a connection with bytes of the test's, on each after the first with those
    of `then` if there are any; `protocols`: what it takes by ALPN."""

    def __init__(self, certificates, answer, protocols=("h2",), then=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificates.cert("server"), certificates.key("server"))
        self.context.set_alpn_protocols(list(protocols))
        self.answer, self.then = answer, then or answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, connection):
        with contextlib.suppress(OSError), self.context.wrap_socket(connection, server_side=True) as stream:
            stream.settimeout(10)
            heard = b""
            if stream.selected_alpn_protocol() == "h2":
                stream.sendall(frame(SETTINGS, 0, 0))
                while not self.has_request(heard):
                    heard += stream.recv(65536)
            else:
                while b"\r\n\r\n" not in heard:
                    heard += stream.recv(65536)
            answer, self.answer = self.answer, self.then
            stream.sendall(answer)
            while stream.recv(65536):
                pass

    @staticmethod
    def has_request(heard):
        heard = heard[len(PREFACE):]
        while len(heard) >= 9:
            size, kind = int.from_bytes(heard[:3], "big"), heard[3]
            if kind == HEADERS and len(heard) >= 9 + size:
                return True
            heard = heard[9 + size:]
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def answer_of(*fields, flags=END_HEADERS):
    return frame(HEADERS, flags, 1, block(fields))


def stalled(port, path):
    """A client that asks and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def until(condition, patience_s=60):
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("still not so")
        time.sleep(0.05)


@unittest.skipUnless(shutil.which("node"), "node is not there")
class OriginHttp2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.certificates = Certificates(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def origin(self, **options):
        return Http2Origin(self.certificates, **options)

    def gateway(self, origin, *arguments, http2="yes", authority="ca"):
        return Nuthatch("gateway", origin.url, "--memory", "64M", "--threads", "1", "--origin-http2", http2, "--origin-ca",
                        self.certificates.cert(authority), *arguments)

    def test_a_request_goes_out_as_it_came_but_for_the_case_of_its_names_and_what_is_of_the_connection(self):
        with self.origin() as origin, self.gateway(origin) as gateway:
            answer = json.loads(fetch(gateway.port, "/echo?q=%7e&a", method="PUT", body=b"hello",
                                      **{"X-Odd": "A  b\xe9", "TE": "trailers", "Connection": "X-Hop", "X-Hop": "1", "X-Empty": ""}).body)
        fields = list(zip(answer["fields"][::2], answer["fields"][1::2]))
        self.assertEqual(dict(fields)[":path"], "/echo?q=%7e&a")
        self.assertEqual(dict(fields)[":method"], "PUT")
        self.assertEqual(dict(fields)[":authority"], origin.url.removeprefix("https://"))
        self.assertEqual(dict(fields)["x-odd"], "A  b\xe9")
        self.assertEqual(dict(fields)["x-empty"], "")
        self.assertEqual(dict(fields)["content-length"], "5")
        self.assertEqual(answer["body"], "hello")
        names = [name for name, _ in fields]
        self.assertEqual(len(names), len(set(names)), names)
        self.assertFalse({"host", "te", "connection", "x-hop", "transfer-encoding", "user-agent", "accept"} & set(names), names)

    def test_a_body_of_unknown_length_goes_up(self):
        with self.origin() as origin, self.gateway(origin) as gateway:
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
            connection.request("POST", "/echo", body=iter([b"a" * 70000, b"b" * 70000]), encode_chunked=True,
                               headers={"Transfer-Encoding": "chunked"})
            answer = json.loads(connection.getresponse().read())
            connection.close()
        self.assertEqual(answer["body"], "a" * 70000 + "b" * 70000)
        self.assertNotIn("transfer-encoding", answer["fields"])

    def test_an_answer_comes_byte_for_byte_and_is_stored(self):
        with self.origin() as origin, self.gateway(origin) as gateway:
            answer = raw(gateway.port, b"GET /fields HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            again = fetch(gateway.port, "/fields")
            cached = [fetch(gateway.port, "/cached") for _ in range(2)]
            seen = origin.seen()
        self.assertTrue(answer.startswith(b"HTTP/1.1 299"), answer)
        for line in (b"x-one: A  b\r\nx-one: c\r\n", b"set-cookie: a=1\r\nset-cookie: b=2\r\n", b'etag: W/"x"\r\n', b"x-empty:"):
            self.assertIn(line, answer)
        self.assertEqual(again.status, 299)
        self.assertIn("hit", cached[1]["Cache-Status"])
        self.assertEqual(seen["counts"]["/cached"], 1)

    def test_many_requests_share_a_connection(self):
        with self.origin() as origin, self.gateway(origin) as gateway, concurrent.futures.ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(lambda i: fetch(gateway.port, f"/slow?ms=500&i={i}").body, range(40)))
            seen = origin.seen()
        self.assertEqual(answers, [b"slow"] * 40)
        self.assertEqual(seen["sessions"], 1)
        self.assertGreater(seen["atOnceMost"], 20)

    def test_an_origin_that_allows_few_streams_is_asked_no_more_at_once_on_a_connection(self):
        with self.origin(streams=4) as origin, self.gateway(origin, "--origin-connections", "4") as gateway, \
                concurrent.futures.ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda i: fetch(gateway.port, f"/slow?ms=20&i={i}").body, range(60)))
            seen = origin.seen()
        self.assertEqual(answers, [b"slow"] * 60)
        self.assertLessEqual(seen["atOnceMost"], 4)

    def test_a_thousand_clients_of_one_url_make_one_request(self):
        with self.origin() as origin, self.gateway(origin) as gateway:
            clients = []
            for _ in range(1000):
                client = socket.create_connection(("127.0.0.1", gateway.port))
                client.sendall(b"GET /slow?ms=3000&cache=max-age%3D60 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                clients.append(client)
            for client in clients:
                with client, client.makefile("rb") as stream:
                    self.assertIn(b"slow", stream.read())
            self.assertEqual(origin.seen()["counts"], {"/slow": 1})

    def test_interim_answers_go_through(self):
        with self.origin() as origin, self.gateway(origin) as gateway:
            answer = raw(gateway.port, b"GET /hints HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n"), answer)
        self.assertIn(b"hinted", answer)

    def test_what_an_origin_refused_or_reset_is_sent_again_if_it_may_be(self):
        for path in ("/refuse", "/reset"):
            with self.subTest(path), self.origin() as origin, self.gateway(origin) as gateway:
                self.assertEqual(fetch(gateway.port, path).body, b"ok")
                self.assertEqual(origin.seen()["counts"][path], 2)
            with self.subTest(path + " POST"), self.origin() as origin, self.gateway(origin) as gateway:
                self.assertEqual(fetch(gateway.port, path, method="POST", body=b"x").status, 502)
                self.assertEqual(origin.seen()["counts"][path], 1)

    def test_what_an_origin_that_goes_away_did_not_take_is_sent_again_if_it_may_be(self):
        away = frame(GOAWAY, 0, 0, bytes(8))
        for method, status in (("GET", 200), ("POST", 502)):
            with self.subTest(method), ByHand(self.certificates, away, then=answer_of((":status", "200"), flags=END_HEADERS | END_STREAM)) \
                    as origin, self.gateway(origin) as gateway:
                self.assertEqual(fetch(gateway.port, "/", method=method).status, status)

    def test_an_answer_that_is_cut_is_cut_for_the_client_and_not_stored(self):
        for end in (frame(RST_STREAM, 0, 1, struct.pack(">I", INTERNAL_ERROR)), frame(GOAWAY, 0, 0, bytes(8)) + b"garbage" * 9):
            answer = answer_of((":status", "200"), ("cache-control", "max-age=60")) + frame(DATA, 0, 1, b"half") + end
            with self.subTest(end), ByHand(self.certificates, answer) as origin, self.gateway(origin) as gateway:
                for _ in range(2):
                    said = raw(gateway.port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    self.assertFalse(said.endswith(b"0\r\n\r\n"), said)
                    self.assertNotIn(b"hit", said)

    def test_what_is_no_answer_is_refused(self):
        good = (":status", "200")
        whole = END_HEADERS | END_STREAM
        for name, answer, status in (
                ("as it should be", answer_of(good, flags=whole), 200),
                ("a status of its own", answer_of((":status", "999"), flags=whole), 999),
                ("no status", answer_of(("a", "b"), flags=whole), 502),
                ("not a number", answer_of((":status", "20x"), flags=whole), 502),
                ("another protocol", answer_of((":status", "101"), flags=END_HEADERS), 502),
                ("of the connection", answer_of(good, ("connection", "close"), flags=whole), 502),
                ("chunked", answer_of(good, ("transfer-encoding", "chunked")) + frame(DATA, END_STREAM, 1, b"0\r\n\r\n"), 502),
                ("a line in a value", answer_of(good, ("a", "b\r\nc: d"), flags=whole), 502),
                ("a name with a space", answer_of(good, ("a b", "c"), flags=whole), 502),
                ("a capital", answer_of(good, ("A", "b"), flags=whole), 502),
                ("two lengths", answer_of(good, ("content-length", "1"), ("content-length", "2")) + frame(DATA, END_STREAM, 1, b"x"), 502),
                ("a body before the head", frame(DATA, 0, 1, b"x"), 502)):
            with self.subTest(name), ByHand(self.certificates, answer) as origin, \
                    self.gateway(origin, "--retries", "0", "--first-byte-timeout", "5s") as gateway:
                self.assertEqual(fetch(gateway.port, "/").status, status)

    def test_a_server_of_http_1_1_that_says_it_is_of_http_2_is_refused(self):
        answer = b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok"
        with ByHand(self.certificates, answer, ("http/1.1",)) as origin, self.gateway(origin, "--retries", "0") as gateway:
            self.assertEqual(fetch(gateway.port, "/").status, 502)

    def test_a_client_that_leaves_ends_its_stream_alone(self):
        with self.origin() as origin, self.gateway(origin) as gateway:
            client = socket.create_connection(("127.0.0.1", gateway.port))
            client.sendall(b"POST /slow?ms=60000 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            until(lambda: origin.seen()["counts"].get("/slow") == 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it is gone, not just done
            client.close()
            # libcurl resets the stream when it next sends something.
            until(lambda: fetch(gateway.port, "/ok").body == b"ok" and origin.seen()["aborted"] == 1)
            self.assertEqual(origin.seen()["sessions"], 1)

    def test_answers_that_are_held_back_hold_back_no_others_and_only_so_many_are(self):
        with self.origin() as origin, self.gateway(origin, "--origin-http2-held", "1", "--write-timeout", "2m") as gateway:
            clients = [stalled(gateway.port, f"/big?bytes=20000000&i={i}") for i in range(3)]
            # No more than one may be held: two are cut. libcurl resets a stream when it next sends something.
            until(lambda: fetch(gateway.port, "/ok").body == b"ok" and origin.seen()["aborted"] == 2)
            whole = 0
            for client in clients:
                with client, client.makefile("rb") as stream, contextlib.suppress(ConnectionError):
                    end = b""
                    while not end.endswith(b"\r\n0\r\n\r\n") and (piece := stream.read1(1 << 20)):
                        end = (end + piece)[-7:]
                    whole += end.endswith(b"\r\n0\r\n\r\n")
            self.assertEqual(whole, 1)
            self.assertEqual(origin.seen()["sessions"], 1)
            for i in range(2):  # whose clients leave
                stalled(gateway.port, f"/big?bytes=20000000&i={i}").close()
            self.assertEqual(fetch(gateway.port, "/ok").body, b"ok")

    def test_a_certificate_that_nobody_known_vouches_for_is_refused(self):
        self.certificates.make_authority("other")
        with self.origin() as origin, self.gateway(origin, authority="other") as gateway:
            answer = fetch(gateway.port, "/ok")
            self.assertEqual(answer.status, 502)
            self.assertIn(b"no trusted connection", answer.body)
            self.assertEqual(origin.seen()["counts"], {})

    def test_a_certificate_of_another_name_is_refused(self):
        self.certificates.make("elsewhere", names=("DNS:elsewhere.example",))
        with self.origin(name="elsewhere") as origin, self.gateway(origin) as gateway:
            self.assertEqual(fetch(gateway.port, "/ok").status, 502)
            self.assertEqual(origin.seen()["counts"], {})

    def test_an_origin_without_http2_is_spoken_to_in_http_1_1(self):
        with Nuthatch("mock", "examples/db.json", "--http2", "no", *self.certificates.options(), listen="https://127.0.0.1:0") as origin:
            origin.url = f"https://127.0.0.1:{origin.port}"
            with self.gateway(origin) as gateway, concurrent.futures.ThreadPoolExecutor(10) as pool:
                statuses = list(pool.map(lambda i: fetch(gateway.port, f"/posts/{i + 1}").status, range(10)))
        self.assertEqual(statuses, [200] * 10)

    def test_an_origin_without_tls_is_begun_with_in_http2(self):
        with Http2Origin() as origin, Nuthatch("gateway", origin.url, "--memory", "64M", "--origin-http2", "yes") as gateway:
            self.assertEqual([fetch(gateway.port, f"/ok?{i}").body for i in range(5)], [b"ok"] * 5)
            answer = json.loads(fetch(gateway.port, "/echo", method="POST", body=b"hello").body)
        self.assertEqual(answer["body"], "hello")


if __name__ == "__main__":
    unittest.main()
