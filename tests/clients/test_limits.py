"""An API that grants each client so many requests in a time, as GitHub's does, and counts those that are too many."""
import concurrent.futures, subprocess, threading, time, unittest

from harness import BINARY, Nuthatch, Origin, fetch

WINDOW_S, GRANTED = 2, 10


class Api:
    """Ten requests in each two seconds, by the clock; what is left is told with each answer."""

    def __init__(self):
        self.lock, self.window, self.used, self.too_many, self.refused_for = threading.Lock(), 0, 0, 0, None
        self.origin = Origin(self.answer)

    def answer(self, handler):
        with self.lock:
            window = int(time.time()) // WINDOW_S
            if window != self.window:
                self.window, self.used = window, 0
            self.used += 1
            self.too_many += self.used > GRANTED
            fields = {"X-RateLimit-Limit": str(GRANTED), "X-RateLimit-Remaining": str(max(0, GRANTED - self.used)),
                      "X-RateLimit-Reset": str((window + 1) * WINDOW_S), "X-RateLimit-Resource": "core"}
            is_refused = self.used > GRANTED
            refused_for = self.refused_for
        if refused_for is not None:
            handler.reply(429, b"slow down", **{"Retry-After": str(refused_for)})
        elif is_refused:
            handler.reply(403, b"API rate limit exceeded", **fields)
        else:
            if handler.headers.get("If-None-Match") == '"1"':
                return handler.reply(304, **fields)
            if handler.path == "/brief-tagged":
                fields["ETag"] = '"1"'
            age = "max-age=1" if handler.path.startswith("/brief") else "no-store"
            handler.reply(200, handler.path.encode(), **fields, **{"Cache-Control": age})


class LimitsTest(unittest.TestCase):
    def setUp(self):
        self.api = Api()
        self.addCleanup(self.api.origin.stop)

    def gateway(self, *arguments):
        server = Nuthatch("gateway", self.api.origin.url, "--memory", "64M", *arguments, listen="http://127.0.0.1:0")
        server.__enter__()
        self.addCleanup(server.__exit__, None, None, None)
        return server

    def await_window(self):
        """So that what is to happen in one does."""
        time.sleep(WINDOW_S - time.time() % WINDOW_S + 0.05)

    def test_a_crowd_is_sent_on_as_fast_as_is_granted_and_no_faster(self):
        server = self.gateway("--rate-wait", "30s")
        self.await_window()
        self.assertEqual(fetch(server.port, "/items/0").status, 200)  # from which the gateway learns
        with concurrent.futures.ThreadPoolExecutor(25) as pool:
            answers = list(pool.map(lambda number: fetch(server.port, f"/items/{number}"), range(1, 26)))
        self.assertEqual([answer.status for answer in answers], [200] * 25)
        self.assertEqual(self.api.too_many, 0)

    def test_what_is_beyond_is_refused_or_stale_and_the_api_is_left_alone(self):
        server = self.gateway("--rate-wait", "0")
        self.await_window()
        self.assertEqual(fetch(server.port, "/brief").status, 200)
        time.sleep(1.1)  # it is stale
        self.await_window()
        self.assertEqual(fetch(server.port, "/items/0").status, 200)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda number: fetch(server.port, f"/items/{number}"), range(1, 31)))
        refused = [answer for answer in answers if answer.status == 429]
        self.assertEqual(len(refused) + sum(answer.status == 200 for answer in answers), 30)
        self.assertGreater(len(refused), 0)
        for answer in refused:
            self.assertIn(answer["Retry-After"], ("1", "2", "3"))
            self.assertEqual(answer["Content-Type"], "application/problem+json")
        stale = fetch(server.port, "/brief")
        self.assertEqual((stale.status, stale.body), (200, b"/brief"))
        if "fwd-status" not in stale["Cache-Status"]:  # else the next window had begun
            self.assertIn("detail=limited", stale["Cache-Status"])
        self.assertEqual(self.api.too_many, 0)

    def test_an_operators_limit_holds_whatever_the_api_grants(self):
        server = self.gateway("--rate-limit", "4/h", "--rate-burst", "4", "--rate-wait", "0")
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda number: fetch(server.port, f"/items/{number}"), range(20)))
        self.assertEqual(sorted(answer.status for answer in answers), [200] * 4 + [503] * 16)
        self.assertEqual(self.api.origin.count(), 4)

    def test_the_metrics_say_how_it_stands(self):
        server = self.gateway("--rate-limit", "4/h", "--rate-burst", "4", "--rate-free-304", "yes", "--concurrency-max",
                              "7", "--admin", "http://127.0.0.1:0")
        admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
        for path in ("/brief-tagged", "/brief-tagged", "/brief-tagged", "/items/1"):  # the second and third are not modified, and free
            self.assertEqual(fetch(server.port, path, Cache_Control="no-cache").status, 200)
        lines = fetch(admin, "/metrics").body.decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if "{" in line)
        labels = '{upstream="%s"}' % self.api.origin.url.removeprefix("http://")
        for name, value in (("tokens", 2), ("concurrency_limit", 7), ("under_way", 0), ("waiting", 0), ("limited_seconds", 0),
                            ("breaker_open", 0)):
            self.assertEqual(float(values[f"nuthatch_upstream_{name}{labels}"]), value, name)
        self.assertIn(int(values[f"nuthatch_upstream_said_left{labels}"]), range(6, 10))
        self.assertLess(float(values[f"nuthatch_upstream_said_reset_seconds{labels}"]), 3)
        for name in ("revalidations", "not_modified"):
            self.assertEqual(values['nuthatch_route_%s_total{route="1",host="",path="",upstream=""}' % name], "2")
        page = subprocess.run([BINARY, "status", "--admin", f"http://127.0.0.1:{admin}"], capture_output=True, text=True).stdout
        self.assertRegex(page, r"asked again +unchanged +of all\n.* 2 +2 +100.0 %")

    def test_after_a_429_nobody_asks(self):
        self.api.refused_for = 60
        server = self.gateway()
        self.assertEqual(fetch(server.port, "/items/0").status, 429)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda number: fetch(server.port, f"/items/{number}"), range(40)))
        for answer in answers:
            self.assertEqual(answer.status, 429)
            self.assertIn(answer["Retry-After"], ("58", "59", "60"))
        self.assertEqual(self.api.origin.count(), 1)
        self.assertEqual(fetch(server.port, "/items/0", Authorization="Bearer other").status, 429)
        self.assertEqual(self.api.origin.count(), 2)  # each credential is told for itself


if __name__ == "__main__":
    unittest.main()
