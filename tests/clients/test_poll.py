"""What a gateway asks for by itself: pollers from a file, next pages, answers about to get stale."""
import collections, json, os, re, shutil, signal, subprocess, tempfile, threading, time, unittest

from harness import BINARY, Nuthatch, Origin, fetch

PATIENCE_S = 20


class Api:
    """Resources with versions, which answer conditions; a list in pages."""

    def __init__(self):
        self.lock, self.versions, self.conditional, self.origin = threading.Lock(), {}, 0, Origin(self.answer)

    def set(self, path, version):
        with self.lock:
            self.versions[path] = version

    def answer(self, request):
        with self.lock:
            version = self.versions.get(request.path, 1)
        if request.path.startswith("/secret"):
            request.reply(200, b"secret", Cache_Control="private, max-age=0")
        elif request.path.startswith("/broken"):
            request.reply(500, b"broken")
        elif request.path.startswith("/list"):
            page = int((re.search(r"page=(\d+)", request.path) or [0, "1"])[1])
            more = {"Link": f'<{self.origin.url}/list?page={page + 1}>; rel="next"'} if page < 5 else {}
            request.reply(200, f"page {page}".encode(), Cache_Control="max-age=60", **more)
        elif request.headers.get("If-None-Match") == f'"{version}"':
            with self.lock:
                self.conditional += 1
            request.reply(304, b"", ETag=f'"{version}"', Cache_Control="max-age=0")
        else:
            request.reply(200, f"{request.path} {version}".encode(), ETag=f'"{version}"', Cache_Control="max-age=0")


class PollTest(unittest.TestCase):
    def setUp(self):
        self.api = Api()
        self.addCleanup(self.api.origin.stop)
        self.folder = tempfile.mkdtemp(prefix="nuthatch-poll-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.file = f"{self.folder}/gateway.yaml"

    def write(self, text):
        with open(self.file + ".new", "w") as file:
            file.write("threads: 2\nmemory: 64M\nadmin: http://127.0.0.1:0\ngateway:\n  listen: http://127.0.0.1:0\n"
                       f"  origin: {self.api.origin.url}\n" + text)
        os.rename(self.file + ".new", self.file)

    def serve(self, text):
        self.write(text)
        server = Nuthatch("serve", self.file, listen=())
        server.port = int(server.wait_for(r"ready on http://127.0.0.1:(\d+)")[0])
        server.admin = server.wait_for(r"admin ready on (\S+)\n")[0]
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return server

    def polls(self, server):
        answer = fetch(int(server.admin.rsplit(":", 1)[1]), "/status")
        polls = {poll["url"]: poll for poll in json.loads(answer.body)["gateway"]["polls"]}
        return collections.defaultdict(lambda: collections.defaultdict(int), polls)  # none at the very start

    def await_true(self, holds):
        end = time.time() + PATIENCE_S
        while not holds():
            self.assertLess(time.time(), end, "it did not come about")
            time.sleep(0.02)

    def test_resources_are_polled_conditionally_and_changes_are_seen(self):
        server = self.serve("  stale-while-revalidate: 1m\n  poll:\n"
                            "    - {url: '/items/{id}', over: [1, 2], interval: 100ms}\n"
                            "    - {url: /broken, interval: 100ms}\n")
        self.await_true(lambda: all(self.polls(server)[f"/items/{item}"]["unchanged"] > 3 for item in (1, 2)))
        self.assertGreater(self.api.conditional, 2)
        self.api.set("/items/2", 2)
        self.await_true(lambda: self.polls(server)["/items/2"]["changes"] == 1)
        self.assertEqual(self.polls(server)["/items/1"]["changes"], 0)
        self.assertEqual(fetch(server.port, "/items/2").body, b"/items/2 2")
        self.await_true(lambda: self.polls(server)["/broken"]["failures"] > 0)
        self.assertEqual(self.polls(server)["/broken"]["status"], 500)
        page = subprocess.run([BINARY, "status", "--admin", server.admin], capture_output=True, text=True, timeout=60,
                              check=True).stdout
        self.assertRegex(page, r"polled +polls +changes")
        metrics = fetch(int(server.admin.rsplit(":", 1)[1]), "/metrics").body.decode()
        self.assertRegex(metrics, r"poll_changes(_total)? 1\n")

    def test_what_may_not_be_kept_is_told_once_for_each_resource(self):
        server = self.serve("  poll:\n    - {url: '/secret/{id}', over: [1, 2], interval: 100ms}\n")
        self.await_true(lambda: all(self.polls(server)[f"/secret/{item}"]["unkept"] > 2 for item in (1, 2)))
        self.assertEqual(self.polls(server)["/secret/1"]["unchanged"], 0)
        for item in (1, 2):
            self.assertEqual(len(re.findall(rf"poll of /secret/{item}: the answer \(status 200\) is not kept, .*says private",
                                            server.log)), 1)
        page = subprocess.run([BINARY, "status", "--admin", server.admin], capture_output=True, text=True, timeout=60,
                              check=True).stdout
        self.assertRegex(page, r"polled .*not kept")
        metrics = fetch(int(server.admin.rsplit(":", 1)[1]), "/metrics").body.decode()
        self.assertRegex(metrics, r"poll_unkept(_total)? [1-9]")

    def test_a_file_that_is_read_again_begins_and_ends_polls(self):
        server = self.serve("  poll:\n    - {url: /one, interval: 100ms}\n    - {url: /two, interval: 100ms}\n")
        self.await_true(lambda: all(poll["polls"] > 0 for poll in self.polls(server).values()))
        before = self.polls(server)["/two"]["polls"]
        self.write("  poll:\n    - {url: /two, interval: 100ms}\n    - {url: /three, interval: 100ms}\n")
        os.kill(server.pid, signal.SIGHUP)
        self.await_true(lambda: self.polls(server).get("/three", {"polls": 0})["polls"] > 0)
        self.assertEqual(set(self.polls(server)), {"/two", "/three"})
        self.assertGreaterEqual(self.polls(server)["/two"]["polls"], before)
        time.sleep(0.3)  # what was under way
        count = self.api.origin.count("/one")
        time.sleep(0.5)
        self.assertEqual(self.api.origin.count("/one"), count)

    def check(self, text):
        self.write(text)
        done = subprocess.run([BINARY, "check", self.file], capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        return done.stdout + done.stderr

    def test_what_is_wrong_in_the_file_is_said(self):
        wrong = (("{url: /a}", "a poll has an interval"),
                 ("{interval: 1s}", "a poll has no `url`"),
                 ("{url: /a, interval: 1ms}", "interval is 100ms to 30d"),
                 ("{url: /a, interval: soon}", "interval is a time, such as 30s"),
                 ("{url: /a, interval: 1s, interval-min: 1s}", "either an interval or"),
                 ("{url: /a, interval-min: 2s, interval-max: 1s}", "interval-min is more than"),
                 ("{url: '/a/{id}', interval: 1s}", "there is no `over`"),
                 ("{url: /a, over: [1], interval: 1s}", "no one place for what is in it"),
                 ("{url: '/a/{id}', over: [../b], interval: 1s}", "is no path"),
                 ("{url: /a, interval: 1s, headers: {Cookie: a}}", "one client's alone"),
                 ("{url: /a, interval: 1s, headers: {Range: bytes=0-1}}", "what it has stored"),
                 ("{url: /a, interval: 1s, headers: {Connection: close}}", "no origin is sent"),
                 ("{url: /a, interval: 1s, headers: {Cache-Control: no-store}}", "keeps the answer out"),
                 ("{url: 'http://me@host/a', interval: 1s}", "is no path"),
                 ("{ulr: /a, interval: 1s}", "did you mean url"),
                 ("/a", "a poll is a mapping"))
        said = self.check("  poll:\n" + "".join(f"    - {text}\n" for text, _ in wrong))
        for line, (text, says) in enumerate(wrong, 8):
            with self.subTest(text=text):
                self.assertRegex(said, rf"gateway\.yaml:{line}:\d+: .*{re.escape(says)}")
        self.assertRegex(self.check("  poll: {url: /a}\n"), r"gateway\.yaml:7:\d+: poll is a list")
        self.assertRegex(self.check("  poll:\n    - {url: '/{id}', over: [" + "1, " * 10001 + "2], interval: 1s}\n"),
                         r"gateway\.yaml:8:\d+: .*more than 10000 resources")

    def test_next_pages_are_there_before_they_are_asked_for(self):
        server = self.serve("  prefetch-next: 2\n")
        self.assertEqual(fetch(server.port, "/list").body, b"page 1")
        self.await_true(lambda: self.api.origin.count() == 3)
        self.assertEqual(fetch(server.port, "/list?page=2").body, b"page 2")
        self.assertEqual(fetch(server.port, "/list?page=3").body, b"page 3")
        time.sleep(0.2)
        self.assertEqual(self.api.origin.count(), 3)


if __name__ == "__main__":
    unittest.main()
