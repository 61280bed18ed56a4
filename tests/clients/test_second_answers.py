"""What a second answer about a URL does to the first: the newer one stays, whichever comes last."""
import threading, time, unittest

from harness import Nuthatch, Origin, PATIENCE_S, fetch


class SecondAnswers(unittest.TestCase):
    def serve(self, answer, *arguments):
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--memory", "64M", "--threads", "2", *arguments)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return origin, server

    def wait_for(self, event):
        self.assertTrue(event.wait(PATIENCE_S))

    def test_a_slow_body_does_not_replace_what_came_whole_since(self):
        asked, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def answer(request):
            if asked.is_set():
                return request.reply(200, b"newer", Cache_Control="max-age=60")
            request.send_response(200)
            request.send_header("Cache-Control", "max-age=60")
            request.send_header("Content-Length", "5")
            request.end_headers()
            request.wfile.write(b"ol")
            asked.set()
            go_on.wait(PATIENCE_S)
            request.wfile.write(b"der")
        origin, server = self.serve(answer)
        said = []
        first = threading.Thread(target=lambda: said.append(fetch(server.port, "/x").body))
        first.start()
        self.wait_for(asked)
        time.sleep(0.1)
        self.assertEqual(fetch(server.port, "/x", Cache_Control="no-cache").body, b"newer")
        go_on.set()
        first.join()
        self.assertEqual(said, [b"older"])
        for _ in range(4):
            self.assertEqual(fetch(server.port, "/x").body, b"newer")
        self.assertEqual(origin.count(), 2)

    def test_an_answer_that_others_did_not_wait_for_does_not_replace_theirs(self):
        asked, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def answer(request):
            if asked.is_set():
                return request.reply(200, b"newer", Cache_Control="max-age=60")
            asked.set()
            go_on.wait(PATIENCE_S)
            request.reply(200, b"older", Cache_Control="max-age=60")
        origin, server = self.serve(answer, "--coalesce-timeout", "200ms")
        said = []
        first = threading.Thread(target=lambda: said.append(fetch(server.port, "/x").body))
        first.start()
        self.wait_for(asked)
        self.assertEqual(fetch(server.port, "/x").body, b"newer")
        go_on.set()
        first.join()
        self.assertEqual(said, [b"older"])
        for _ in range(4):
            self.assertEqual(fetch(server.port, "/x").body, b"newer")
        self.assertEqual(origin.count(), 2)

    def test_a_head_that_varies_otherwise_drops_what_was_chosen_by_other_fields(self):
        vary = ["X-A"]

        def answer(request):
            which = request.headers[vary[0]] or ""
            request.reply(200, which.encode(), Cache_Control="max-age=60", Vary=vary[0], ETag='"one"')
        origin, server = self.serve(answer)
        self.assertEqual(fetch(server.port, "/x", X_A="a", X_B="b").body, b"a")
        self.assertIn("; hit", fetch(server.port, "/x", X_A="a", X_B="c")["Cache-Status"])
        vary[0] = "X-B"
        self.assertNotIn("; hit", fetch(server.port, "/x", "HEAD", X_A="a", X_B="b", Cache_Control="no-cache")["Cache-Status"])
        self.assertEqual(fetch(server.port, "/x", X_A="a", X_B="c").body, b"c")
        self.assertEqual(fetch(server.port, "/x", X_A="a", X_B="b").body, b"b")

    def test_a_head_that_varies_alike_freshens(self):
        asked = []

        def answer(request):
            asked.append(request.command)
            request.reply(200, b"body", Cache_Control="max-age=1" if len(asked) == 1 else "max-age=60", Vary="X-A", ETag='"one"',
                          Surrogate_Key="t")
        origin, server = self.serve(answer)
        fetch(server.port, "/x", X_A="a")
        time.sleep(1.1)
        self.assertEqual(fetch(server.port, "/x", "HEAD", X_A="a").status, 200)
        self.assertIn("; hit", fetch(server.port, "/x", X_A="a")["Cache-Status"])
        self.assertEqual(asked, ["GET", "HEAD"])


class Held(unittest.TestCase):
    """What is looked at in the store and not used is let go."""

    def test_what_is_there_but_not_for_this_client_is_let_go_before_another_is_looked_for(self):
        body = bytes(200_000)
        origin = Origin(lambda request: request.reply(200, body, Cache_Control="max-age=60", No_Vary_Search='params=("a")'))
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--memory", "16M", "--threads", "1")
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        for path in range(60):
            fetch(server.port, f"/{path}?a=1")
            fetch(server.port, f"/{path}?a=2", Cache_Control="no-cache")  # what is given for others, from now on
            fetch(server.port, f"/{path}?a=1", Authorization="Basic eDp5")
        fetch(server.port, "/last")
        self.assertIn("nuthatch; hit", fetch(server.port, "/last").headers["Cache-Status"])


if __name__ == "__main__":
    unittest.main()
