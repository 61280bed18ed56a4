"""Composed routes: one answer made of several, from a file, before an origin that says who asks it what and when."""
import gzip, json, os, re, shutil, signal, socket, subprocess, tempfile, threading, unittest

from harness import BINARY, Nuthatch, Origin, fetch

PATIENCE_S = 30


class Api:
    """Two kinds of things, and a place where all who ask for something meet."""

    def __init__(self):
        self.meeting = threading.Barrier(1)
        self.fails, self.name = False, "A"

    def __call__(self, request):
        path, _, query = request.path.partition("?")
        if path.startswith("/users/"):
            self.meeting.wait(PATIENCE_S)
            request.reply(200, b'{"id": %d, "name": "%s", "balance": 10.50}' % (int(path[7:]), self.name.encode()), Cache_Control="max-age=60")
        elif path == "/posts" and not self.fails:
            self.meeting.wait(PATIENCE_S)
            items = b'{"items": [{"n": 12345678901234567890}], "asked": "%s"}' % query.encode()
            request.reply(200, items, Cache_Control="max-age=20")
        else:
            request.reply(500, b"secret of the origin")


COMPOSE = """
  origin: %s
  compress: yes
  compress-min: 1
  compose:
  - path: /overview/{id}
    parts:
      user: /users/{id}
      posts: {target: "/posts?user={id}&page={query.page}", pointer: /items}
      page: {target: "/posts?user={id}&page={query.page}", select: {asked: /asked}}
    on-failure: %s
    live: yes
    live-interval: 300ms
"""


class Composed(unittest.TestCase):
    def write(self, on_failure="null"):
        with open(self.file + ".new", "w") as file:
            file.write("threads: 2\nmemory: 64M\ngateway:\n  listen: http://127.0.0.1:0\n" + COMPOSE % (self.origin.url, on_failure))
        os.rename(self.file + ".new", self.file)

    def setUp(self):
        folder = tempfile.mkdtemp(prefix="nuthatch-compose-")
        self.addCleanup(shutil.rmtree, folder)
        self.file = f"{folder}/gateway.yaml"
        self.api = Api()
        self.origin = Origin(self.api)
        self.addCleanup(self.origin.stop)
        self.write()
        self.server = Nuthatch("serve", self.file, "--admin", "http://127.0.0.1:0", listen=())
        self.port = int(self.server.wait_for(r"gateway ready on http://127.0.0.1:(\d+)")[0])
        self.admin = int(self.server.wait_for(r"admin ready on http://127.0.0.1:(\d+)")[0])
        self.addCleanup(lambda: self.assertEqual(self.server.stop(), 0))

    def test_parts_are_fetched_side_by_side_and_stored(self):
        self.api.meeting = threading.Barrier(2)  # neither is answered before both are asked for
        answer = fetch(self.port, "/overview/7?page=2")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.body, b'{"user":{"id": 7, "name": "A", "balance": 10.50},"posts":[{"n": 12345678901234567890}],'
                                      b'"page":{"asked":"user=7&page=2"}}\n')
        self.assertRegex(answer["Cache-Control"], r"^max-age=(20|1\d)(, s-maxage=\d+)?$")
        self.assertEqual(len(self.origin.requests), 2)  # two parts were one request
        again = fetch(self.port, "/overview/7?page=2", If_None_Match=answer["ETag"])
        self.assertEqual((again.status, again.body), (304, b""))
        zipped = fetch(self.port, "/overview/7?page=2", Accept_Encoding="gzip")
        self.assertEqual(zipped["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(zipped.body), answer.body)
        head = fetch(self.port, "/overview/7?page=2", method="HEAD")
        self.assertEqual((head.status, head.body, head["ETag"]), (200, b"", answer["ETag"]))
        self.assertEqual(len(self.origin.requests), 2)
        self.assertEqual(fetch(self.port, "/users/7").body, b'{"id": 7, "name": "A", "balance": 10.50}')
        self.assertEqual(len(self.origin.requests), 2)  # a client has what a part has brought

    def test_what_fails_is_null_or_fails_all_as_the_file_says_now(self):
        self.api.fails = True
        partial = json.loads(fetch(self.port, "/overview/7").body)
        self.assertEqual(partial["user"]["name"], "A")
        self.assertEqual([partial["posts"], partial["page"]], [None, None])
        self.assertEqual(partial["errors"], [{"part": name, "status": 500, "title": "Internal Server Error"}
                                             for name in ("posts", "page")])
        self.write("fail")
        os.kill(self.server.pid, signal.SIGHUP)
        self.server.wait_for(r"reload: the gateway at")
        failed = fetch(self.port, "/overview/7")
        self.assertEqual((failed.status, failed["Content-Type"], failed["Cache-Control"]),
                         (502, "application/problem+json", "no-store"))
        self.assertRegex(json.loads(failed.body)["detail"], "^the part (posts|page) was answered with 500")
        self.assertNotIn(b"secret", failed.body)
        refused = fetch(self.port, "/overview/7", method="DELETE")
        self.assertEqual((refused.status, refused["Allow"]), (405, "GET, HEAD"))

    def next_event(self, stream):
        data = b""
        while (line := stream.readline()) != b"\n" or not data:
            self.assertTrue(line)
            data += line[6:] if line.startswith(b"data: ") else b""
        return json.loads(data)

    def test_who_watches_is_told_when_a_part_changes_and_that_the_server_stops(self):
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as watcher:
            watcher.sendall(b"GET /_live/overview/7?page=1 HTTP/1.1\r\nHost: test\r\n\r\n")
            stream = watcher.makefile("rb")
            self.assertEqual(self.next_event(stream)["user"]["name"], "A")
            self.api.name = "B"
            event = self.next_event(stream)
            self.assertEqual((event["user"]["name"], event["page"]), ("B", {"asked": "user=7&page=1"}))
            said = json.loads(fetch(self.admin, "/status").body)["gateway"]
            self.assertEqual((said["watchers"], said["changes"], said["parts_failed"]), (1, 2, 0))
            self.assertGreaterEqual(said["composed"], 2)
            self.assertEqual(self.server.stop(), 0)

    def test_the_examples_of_the_page_are_fine(self):
        with open("docs/compose.md") as page:
            examples = re.findall(r"```yaml\n(.*?)```", page.read(), re.DOTALL)
        self.assertTrue(examples)
        for example in examples:
            with open(self.file, "w") as file:
                file.write(example)
            run = subprocess.run([BINARY, "check", self.file], capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(run.returncode, 0, run.stderr)


if __name__ == "__main__":
    unittest.main()
