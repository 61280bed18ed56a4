"""Answers coded on the way out: chosen by what the client takes, made once, and never what was not asked for."""
import gzip, json, subprocess, threading, time, unittest

from harness import Nuthatch, Origin, fetch

TEXT = json.dumps([{"name": "nuthatch", "id": number} for number in range(2000)]).encode()
LARGE = TEXT * 60  # some 4.5 MB


def decoded(coding, body):
    if coding == "gzip":
        return gzip.decompress(body)
    command = {"br": ["brotli", "-dc"], "zstd": ["zstd", "-dc"]}[coding]
    return subprocess.run(command, input=body, capture_output=True, check=True, timeout=20).stdout


class Codings(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.go_on = threading.Event()

        def answer(request):
            fields = {"Content-Type": "application/json", "ETag": '"v1"', "Cache-Control": "max-age=60"}
            path = request.path.split("?")[0]
            if path == "/large":
                request.reply(body=LARGE, **fields)
            elif path == "/small":
                request.reply(body=b"[1]", **fields)
            elif path == "/image":
                request.reply(body=TEXT, **{**fields, "Content-Type": "image/png"})
            elif path == "/coded":
                request.reply(body=gzip.compress(TEXT), Content_Encoding="gzip", **fields)
            elif path == "/fixed":
                request.reply(body=TEXT, **{**fields, "Cache-Control": "max-age=60, no-transform"})
            elif path == "/uncached":
                request.reply(body=TEXT, **{**fields, "Cache-Control": "no-store"})
            elif path == "/short-lived":
                if request.headers.get("If-None-Match") == '"v1"':
                    request.reply(304, ETag='"v1"', Cache_Control="max-age=60")
                else:
                    request.reply(body=TEXT, **{**fields, "Cache-Control": "max-age=0"})
            elif path == "/varied":
                coding = request.headers.get("Accept-Encoding", "none")
                request.reply(body=coding.encode(), Vary="Accept-Encoding", **fields)
            elif path == "/slow":
                request.send_response(200)
                request.send_header("Content-Type", "application/x-ndjson")
                request.send_header("Transfer-Encoding", "chunked")
                request.end_headers()
                request.wfile.write(b"8\r\n{\"a\":1}\n\r\n")
                cls.go_on.wait(20)
                request.wfile.write(b"8\r\n{\"a\":2}\n\r\n0\r\n\r\n")
            else:
                request.reply(body=TEXT, **fields)

        cls.origin = Origin(answer)
        cls.server = Nuthatch("gateway", cls.origin.url, "--compress", "yes", "--memory", "64M")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0
        cls.origin.stop()

    def get(self, path, accepted, **fields):
        return fetch(self.server.port, path, Accept_Encoding=accepted, **fields)

    def test_each_coding_is_made_once_and_then_stored(self):
        for coding in ("gzip", "br", "zstd"):
            answers = [self.get("/whole?" + coding, coding) for _ in range(3)]
            for answer in answers:
                self.assertEqual((answer.status, answer["Content-Encoding"], answer["Vary"], answer["ETag"]),
                                 (200, coding, "Accept-Encoding", 'W/"v1"'))
                self.assertEqual(decoded(coding, answer.body), TEXT)
            # The first two were coded while they were sent; the third has a length.
            self.assertEqual([answer["Content-Length"] for answer in answers],
                             [None, None, str(len(answers[2].body))])
            self.assertLess(len(answers[2].body), len(TEXT) / 5)
            head = fetch(self.server.port, "/whole?" + coding, "HEAD", Accept_Encoding=coding)
            self.assertEqual((head["Content-Encoding"], head["Content-Length"]), (coding, str(len(answers[2].body))))
            self.assertEqual(self.origin.count("/whole?" + coding), 1)

    def test_who_takes_none_gets_what_the_origin_sent(self):
        for accepted in ("identity", "gzip;q=0", "deflate"):
            answer = self.get("/whole?plain", accepted)
            self.assertEqual((answer.body, answer["Content-Encoding"], answer["ETag"], answer["Vary"]),
                             (TEXT, None, '"v1"', "Accept-Encoding"))

    def test_what_is_small_coded_fixed_or_an_image_is_left_alone(self):
        for path, coding in (("/small", None), ("/image", None), ("/fixed", None), ("/coded", "gzip")):
            for _ in range(2):
                answer = self.get(path, "gzip, br")
                self.assertEqual((answer["Content-Encoding"], answer["ETag"], answer["Vary"]), (coding, '"v1"', None))

    def test_a_large_body(self):
        for _ in range(3):
            answer = self.get("/large", "gzip")
            self.assertEqual(decoded("gzip", answer.body), LARGE)
        self.assertEqual(answer["Content-Length"], str(len(answer.body)))

    def test_many_at_once_get_one_of_the_two(self):
        answers = []
        self.get("/large?herd", "identity")

        def ask():
            answers.append(self.get("/large?herd", "br, identity;q=0.5"))

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(answers), 20)
        for answer in answers:
            body = decoded("br", answer.body) if answer["Content-Encoding"] else answer.body
            self.assertEqual(body, LARGE)
        self.assertTrue(any(answer["Content-Encoding"] == "br" for answer in answers))

    def test_what_is_not_stored_is_coded_for_each(self):
        for _ in range(2):
            answer = self.get("/uncached", "zstd")
            self.assertEqual((answer["Content-Encoding"], decoded("zstd", answer.body)), ("zstd", TEXT))

    def test_a_client_that_has_the_coding_is_told_so(self):
        self.get("/whole?condition", "gzip")
        for tag, seen in (('W/"v1"', 'W/"v1"'), ('"v1"', '"v1"')):
            answer = self.get("/whole?condition", "gzip", If_None_Match=tag)
            self.assertEqual((answer.status, answer.body, answer["ETag"]), (304, b"", seen))

    def test_a_confirmed_body_keeps_its_coding(self):
        for _ in range(4):
            answer = self.get("/short-lived", "br")
            self.assertEqual(decoded("br", answer.body), TEXT)
        self.assertEqual(answer["Content-Length"], str(len(answer.body)))
        self.assertIn(self.origin.count("/short-lived"), (2, 3))

    def test_a_stream_is_not_held_back(self):
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        connection.request("GET", "/slow", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        self.assertEqual(answer.getheader("Content-Encoding"), "gzip")
        import zlib
        decoder = zlib.decompressobj(15 + 16)
        first = b""
        while first != b'{"a":1}\n':
            first += decoder.decompress(answer.read1(65536))
        self.go_on.set()
        self.assertEqual(decoder.decompress(answer.read()), b'{"a":2}\n')
        connection.close()

    def test_an_origin_that_varies_is_asked_once_for_all_that_take_the_same(self):
        answers = {self.get("/varied", accepted).body
                   for accepted in ("gzip, br", "br,gzip", "BR;q=0.9, gzip;q=0.1, deflate")}
        self.assertEqual(answers, {b"br, gzip"})
        self.assertEqual(self.origin.count("/varied"), 1)

    def test_a_range_is_of_the_origins_bytes(self):
        self.get("/whole?range", "gzip")
        answer = self.get("/whole?range", "gzip", Range="bytes=0-9")
        self.assertEqual(answer["Content-Encoding"], None)


if __name__ == "__main__":
    unittest.main()
