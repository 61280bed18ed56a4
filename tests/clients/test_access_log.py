"""The access log: one line for each request, in JSON or as Apache has it, with nothing secret in it."""
import json, os, signal, socket, struct, tempfile, time, unittest

from harness import Nuthatch, Origin, PATIENCE_S, fetch, free_port, raw


def answer(request):
    if request.path.startswith("/cut"):
        request.send_response(200)
        request.send_header("Content-Length", "10")
        request.end_headers()
        request.wfile.write(b"abc")
        request.close_connection = True
        return
    if request.path.startswith("/slow"):
        time.sleep(1)
    request.reply(200, b"x" * 10, Cache_Control="max-age=60" if "stored" in request.path else "no-store")


class AccessLog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.origin = Origin(answer)
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.origin.stop()
        cls.folder.cleanup()

    def setUp(self):
        self.path = os.path.join(self.folder.name, self.id().rsplit(".", 1)[1])

    def gateway(self, *arguments, url=None):
        server = Nuthatch("gateway", url or self.origin.url, "--memory", "64M", "--access-log", self.path, *arguments)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return server

    def lines(self, count, path=None):
        """What is in the log, once that are `count` lines."""
        end = time.time() + PATIENCE_S
        while True:
            with open(path or self.path) as file:
                text = file.read()
            if text.count("\n") >= count or time.time() > end:
                self.assertEqual(text.count("\n"), count, text)
                return text.splitlines()
            time.sleep(0.02)

    def test_a_line_of_json_for_each_request(self):
        server = self.gateway()
        for path in ("/stored?token=geheim", "/stored?token=geheim", "/other"):
            fetch(server.port, path, User_Agent='a"b\\c', Authorization="Bearer geheim", X_Request_Id="id-1")
        first, second, third = (json.loads(line) for line in self.lines(3))
        self.assertEqual({name: first[name] for name in ("method", "path", "status", "bytes", "whole", "user_agent")},
                         {"method": "GET", "path": "/stored", "status": 200, "bytes": 10, "whole": True,
                          "user_agent": 'a"b\\c'})
        self.assertRegex(first["client"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual(first["host"], f"127.0.0.1:{server.port}")
        self.assertRegex(first["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual([line["cache"] for line in (first, second, third)], ["miss", "miss", "miss"])
        self.assertNotIn("geheim", "".join(self.lines(3)))

    def test_how_the_answer_came_about(self):
        server = self.gateway("--request-id", "yes")
        fetch(server.port, "/stored", X_Request_Id="one")
        fetch(server.port, "/stored", X_Request_Id="two")
        fetch(server.port, "/other", "POST", b"a")
        said = [json.loads(line) for line in self.lines(3)]
        self.assertEqual([line["cache"] for line in said], ["miss", "hit", "bypass"])
        self.assertEqual([line["request_id"] for line in said[:2]], ["one", "two"])

    def test_our_own_errors_are_named_as_they_are_to_the_client(self):
        server = self.gateway(url=f"http://127.0.0.1:{free_port()}")
        told = json.loads(fetch(server.port, "/").body)
        line = json.loads(self.lines(1)[0])
        self.assertEqual((line["status"], line["request_id"]), (502, told["request_id"]))

    def test_answers_that_were_not_whole(self):
        server = self.gateway()
        raw(server.port, b"GET /cut HTTP/1.1\r\nHost: a\r\n\r\n")
        line = json.loads(self.lines(1)[0])
        self.assertEqual((line["status"], line["whole"]), (200, False))
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            time.sleep(0.2)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # it is gone, not just done
        line = json.loads(self.lines(2)[1])
        self.assertEqual((line["status"], line["bytes"], line["whole"]), (0, 0, False))

    def test_who_was_cut_off_for_not_reading_is_named(self):
        with Origin(lambda r: r.reply(200, bytes(32 << 20))) as origin:
            server = self.gateway("--write-timeout", "300ms", url=origin.url)
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.connect(("127.0.0.1", server.port))
                client.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
                line = json.loads(self.lines(1)[0])
                self.assertEqual((line["client"], line["status"], line["whole"]),
                                 (f"127.0.0.1:{client.getsockname()[1]}", 200, False))

    def test_the_combined_form(self):
        server = self.gateway("--access-log-format", "combined")
        fetch(server.port, "/a?secret", Referer="http://b/c?secret", User_Agent="agent\\\"\xe9")
        self.assertRegex(self.lines(1)[0], r'^127\.0\.0\.1:\d+ - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d \+0000\] '
                         r'"GET /a HTTP/1\.1" 200 10 "http://b/c" "agent\\x5c\\x22\\xe9"$')

    def test_a_sample(self):
        server = self.gateway("--access-log-sample", "5", "--threads", "1")
        for _ in range(20):
            fetch(server.port, "/stored")
        self.lines(4)
        server = Nuthatch("gateway", self.origin.url, "--access-log", self.path + ".none", "--access-log-sample", "0")
        fetch(server.port, "/stored")
        self.assertEqual(server.stop(), 0)
        self.lines(0, self.path + ".none")

    def test_sighup_opens_the_file_anew(self):
        server = self.gateway()
        fetch(server.port, "/stored")
        self.lines(1)
        os.rename(self.path, self.path + ".1")
        server.process.send_signal(signal.SIGHUP)
        end = time.time() + PATIENCE_S
        while not os.path.exists(self.path) and time.time() < end:
            time.sleep(0.02)
        fetch(server.port, "/stored")
        self.lines(1)
        self.lines(1, self.path + ".1")

    def test_what_was_said_before_the_end_is_written(self):
        server = Nuthatch("gateway", self.origin.url, "--access-log", self.path)
        for _ in range(50):
            fetch(server.port, "/stored")
        self.assertEqual(server.stop(), 0)
        self.lines(50)

    def test_nobody_waits_for_who_does_not_read_it(self):
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        server = Nuthatch("gateway", self.origin.url, "--memory", "64M", "--access-log", self.path)
        long = "x" * 4000
        for _ in range(100):  # five times what a pipe holds
            self.assertEqual(fetch(server.port, "/stored", User_Agent=long).status, 200)
        begun = time.time()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.time() - begun, 8)

    def test_a_file_that_cannot_be_opened_is_said_at_the_start(self):
        with self.assertRaisesRegex(AssertionError, r"access-log: /nowhere/log cannot be opened: not found"):
            Nuthatch("gateway", self.origin.url, "--access-log", "/nowhere/log")


if __name__ == "__main__":
    unittest.main()
