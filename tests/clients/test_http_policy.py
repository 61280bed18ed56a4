"""What the gateway keeps, for how long, and in which bytes it comes back: RFC 9111 on the wire."""
import email.utils, tempfile, time, unittest

from harness import Nuthatch, Origin, fetch, raw, wait_until_still


def date(seconds_from_now):
    return email.utils.formatdate(time.time() + seconds_from_now, usegmt=True)


def get(path, *lines, method="GET"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", "Connection: close", *lines, "", ""]).encode()


def head_of(answer):
    """The status line and the field lines, without those that are of the connection's or the gateway's making."""
    lines = answer.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return [line for line in lines if line.split(":")[0] not in
            ("Connection", "Content-Length", "Transfer-Encoding", "Cache-Status")]


class OnTheWire(unittest.TestCase):
    def serve(self, answer, *arguments):
        """`answer(request)` may return the bytes of a whole response. The origin closes after each."""
        def answer_bytes(request):
            response = answer(request)
            if response is not None:
                request.wfile.write(response.encode("latin-1"))
            request.close_connection = True
        self.origin = Origin(answer_bytes)
        self.addCleanup(self.origin.stop)
        server = Nuthatch("gateway", self.origin.url, "--memory", "64M", *arguments)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return server.port

    def test_a_response_arrives_as_the_origin_sent_it(self):
        lines = ["HTTP/1.1 200 Quite alright", "x-first: 1", f"dAtE: {date(-5)}", "Age: 3, 4", "Vary: Accept",
                 "Set-Cookie: a=b; Path=/", "CACHE-CONTROL: max-age=600 , public", "Set-Cookie: c=d",
                 "CDN-Cache-Control: max-age=700, public", 'ETag: W/"x"', "X-First: \xe9", "Expires: 0", "Empty: "]
        port = self.serve(lambda r: "\r\n".join([*lines, "Content-Length: 2", "", "ok"]))
        self.assertEqual(head_of(raw(port, get("/x"))), lines)
        # Whoever comes later gets the same but for the cookies, and the age as it is by now.
        again = head_of(raw(port, get("/x")))
        self.assertIn(int(again[1].removeprefix("Age: ")), range(3, 30))
        self.assertEqual(again[:1] + again[2:], [line for line in lines if line.split(":")[0] not in ("Age", "Set-Cookie")])
        self.assertEqual(self.origin.count(), 1)

    def test_any_status_is_passed_on_and_stored_if_it_says_how_long(self):
        statuses = {204: "No Content", 299: "Something new", 303: "See Other", 400: "Bad Request", 404: "Not Found",
                    410: "Gone", 499: "Odd", 500: "Internal Server Error", 502: "Bad Gateway",
                    503: "Service Unavailable", 504: "Gateway Timeout", 599: "Whatever", 600: "Beyond", 999: "Denied"}

        def answer(request):
            status = int(request.path[1:4])
            control = "Cache-Control: max-age=60\r\n" if request.path.endswith("fresh") else ""
            length = "" if status == 204 else "Content-Length: 0\r\n"
            return f"HTTP/1.1 {status} {statuses[status]}\r\n{control}{length}\r\n"
        port = self.serve(answer)
        for status, reason in statuses.items():
            for kind in ("fresh", "unsaid"):
                for _ in range(2):
                    self.assertEqual(head_of(raw(port, get(f"/{status}/{kind}")))[0], f"HTTP/1.1 {status} {reason}")
                wanted = 1 if kind == "fresh" and status < 600 else 2
                self.assertEqual((status, kind, self.origin.count(f"/{status}/{kind}")), (status, kind, wanted))

    def test_what_does_not_say_is_fresh_for_a_tenth_of_its_age_unless_switched_off(self):
        def answer(request):
            request.reply(200, b"x", Last_Modified=date(-7200), Date=date(0))
        port = self.serve(answer)
        fetch(port, "/x")
        self.assertRegex(fetch(port, "/x")["Cache-Status"], r"^nuthatch; hit; ttl=7[12]\d$")
        port = self.serve(answer, "--heuristic-max", "0")
        fetch(port, "/x")
        self.assertIn("fwd=stale", fetch(port, "/x")["Cache-Status"])

    def test_a_body_until_the_end_of_an_http_1_0_response_is_stored(self):
        port = self.serve(lambda r: "HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\nold but whole")
        for _ in range(2):
            self.assertEqual(fetch(port, "/x").body, b"old but whole")
        self.assertEqual(self.origin.count(), 1)

    def test_a_stale_answer_stands_in_for_an_origin_out_of_reach_unless_forbidden(self):
        control = {"/plain": "max-age=1", "/strict": "max-age=1, must-revalidate", "/shared": "s-maxage=1",
                   "/proxies": "max-age=1, proxy-revalidate", "/bounded": "max-age=1, stale-if-error=0"}
        port = self.serve(lambda r: r.reply(200, b"kept", Cache_Control=control[r.path]))
        for path in control:
            fetch(port, path)
        self.origin.stop()
        time.sleep(2.1)
        for path in control:
            answer = fetch(port, path)
            self.assertEqual((path, answer.status), (path, 200 if path == "/plain" else 502))
        answer = fetch(port, "/plain")
        self.assertRegex(answer["Cache-Status"], r"ttl=-\d; detail=origin-(failing|unreachable)$")

    def test_switches_for_what_is_stale(self):
        port = self.serve(lambda r: r.reply(200, b"x", Cache_Control="max-age=1"), "--stale-if-unreachable", "0",
                          "--stale-while-revalidate", "2s")
        fetch(port, "/x")
        time.sleep(1.1)
        self.assertIn("detail=stale-while-revalidate", fetch(port, "/x")["Cache-Status"])
        self.assertEqual(wait_until_still(self.origin.count, 0.3), 2)
        self.origin.stop()
        time.sleep(3.1)
        self.assertEqual(fetch(port, "/x").status, 502)

    def test_a_client_may_take_what_is_stale(self):
        port = self.serve(lambda r: r.reply(200, b"x", Cache_Control="max-age=1", Age="11"))
        fetch(port, "/x")  # stale from the start, and without a validator: not stored
        self.assertIn("fwd=uri-miss", fetch(port, "/x", Cache_Control="max-stale")["Cache-Status"])
        port = self.serve(lambda r: r.reply(200, b"x", Cache_Control="max-age=1", Age="11", ETag='"a"'))
        fetch(port, "/x")
        self.assertRegex(fetch(port, "/x", Cache_Control="max-stale")["Cache-Status"],
                         r"^nuthatch; hit; ttl=-1\d; detail=max-stale$")
        self.assertIn("hit", fetch(port, "/x", Cache_Control="max-stale=100, only-if-cached")["Cache-Status"])
        self.assertEqual(fetch(port, "/x", Cache_Control="max-stale=5, only-if-cached").status, 504)

    def test_what_is_only_looked_for_leaves_nothing_in_the_store(self):
        origin = Origin(lambda r: r.reply(200, b"x", Cache_Control="max-age=60"))
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--memory", "64M", "--key-headers", "X-Tenant", "--cache-post",
                          "--admin", "http://127.0.0.1:0", listen="http://127.0.0.1:0")
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
        for i in range(8):
            self.assertEqual(fetch(server.port, f"/{i}", Cache_Control="only-if-cached").status, 504)
            self.assertEqual(fetch(server.port, f"/{i}", "POST", b"query", Cache_Control="only-if-cached").status, 504)
            self.assertEqual(fetch(server.port, f"/{i}", "HEAD").status, 200)
        metrics = fetch(admin, "/metrics").body.decode()
        self.assertEqual(metrics.partition("\nnuthatch_store_items ")[2].split()[0], "0")
        for body in (None, b"query"):
            for state in ("fwd=uri-miss", "; hit"):
                answer = fetch(server.port, "/0", "POST" if body else "GET", body, X_Tenant="a")
                self.assertIn(state, answer["Cache-Status"])

    def test_only_if_cached_never_reaches_the_origin(self):
        port = self.serve(lambda r: r.reply(200, b"x", Cache_Control="max-age=60"))
        for headers in ({}, {"Range": "bytes=0-0"}, {"Cache_Control": "only-if-cached, no-store"}):
            headers = {"Cache_Control": "only-if-cached", **headers}
            self.assertEqual(fetch(port, "/x", **headers).status, 504)
        self.assertEqual(self.origin.count(), 0)

    def test_what_private_and_no_cache_name_is_the_first_client_s_alone(self):
        port = self.serve(lambda r: r.reply(200, b"x", Cache_Control='max-age=60, private="x-mine", no-cache="x-new"',
                                            X_Mine="1", X_New="2", X_All="3"))
        first, second = fetch(port, "/x"), fetch(port, "/x")
        self.assertEqual((first["X-Mine"], first["X-New"], first["X-All"]), ("1", "2", "3"))
        self.assertEqual((second["X-Mine"], second["X-New"], second["X-All"]), (None, None, "3"))

    def test_a_write_drops_what_its_answer_is_about(self):
        def answer(request):
            if request.command == "POST":
                request.reply(int(request.path[-3:]), b"", Location=location, Content_Location=content_location)
            else:
                request.reply(200, b"x", Cache_Control="max-age=60")
        port = self.serve(answer)
        elsewhere = "http://127.0.0.1:1/elsewhere"
        for location, content_location, status, dropped in [
                ("/a", "/b", 201, ["/a", "/b"]), (f"{self.origin.url}/a", "b", 303, ["/a", "/b"]),
                ("/a", "b", 404, []), (elsewhere, "//127.0.0.1:1/b", 201, []), ("/a?x=1", "", 200, ["/a?x=1"])]:
            paths = ["/a", "/b", "/a?x=1", "/elsewhere"]
            for path in paths:
                fetch(port, path)
            before = {path: self.origin.count(path) for path in paths}
            fetch(port, f"/{status}", "POST", b"x")
            for path in paths:
                fetch(port, path)
            self.assertEqual([path for path in paths if self.origin.count(path) > before[path]], dropped)

    def test_a_write_drops_what_the_client_reaches_by_another_route(self):
        def answer(request):
            if request.command == "POST":
                request.reply(201, b"", Location=f"http://{request.headers['X-Public']}/birds/v2/1",
                              Content_Location=f"http://127.0.0.1:{request.server.server_address[1]}/trees/2")
            else:
                request.reply(200, b"x", Cache_Control="max-age=60")
        birds, trees, others = Origin(answer), Origin(answer), Origin(answer)
        for origin in birds, trees, others:
            self.addCleanup(origin.stop)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(f"""gateway:
  listen: http://127.0.0.1:0
  upstreams:
    birds: {{origin: "{birds.url}"}}
    trees: {{origin: ["{trees.url}", "{others.url}"]}}
  routes:
    - match: {{path: /birds/**}}
      upstream: birds
      rewrite: {{strip-prefix: /birds}}
    - match: {{path: /api/**}}
      upstream: trees
      rewrite: {{strip-prefix: /api}}
""")
            file.flush()
            with Nuthatch("serve", file.name, listen=[]) as server:
                paths = ["/birds/v2/1", "/birds/v2/2", "/api/trees/1", "/api/trees/2"]
                for _ in range(4):  # whichever of the two origins takes the write
                    for path in paths:
                        fetch(server.port, path)
                    fetch(server.port, "/api/trees", "POST", b"new", X_Public=f"127.0.0.1:{server.port}")
                    hits = [path for path in paths if "; hit" in fetch(server.port, path)["Cache-Status"]]
                    self.assertEqual(hits, ["/birds/v2/2", "/api/trees/1"])

    def test_the_answer_to_a_post_that_is_the_resource_s_new_state_serves_gets(self):
        cases = {"/x": ("max-age=60", "/x", True), "/whole": ("max-age=60", None, True), "/y": ("max-age=60", "/z", False),
                 "/unsaid": ("public", "/unsaid", False), "/mine": ("private, max-age=60", "/mine", False)}

        def answer(request):
            control, location, _ = cases[request.path]
            location = location or f"{self.origin.url}{request.path}"
            request.reply(200, request.command.encode(), Cache_Control=control, Content_Location=location, Connection="close")
        port = self.serve(answer)
        for path, (_, _, is_kept) in cases.items():
            fetch(port, path)
            self.assertEqual(fetch(port, path, "POST", b"new").body, b"POST")
            answer = fetch(port, path)
            self.assertEqual((path, answer.body), (path, b"POST" if is_kept else b"GET"))
            self.assertEqual(fetch(port, path, "POST", b"new").body, b"POST")  # which is never answered from the store
        self.assertEqual(self.origin.count("/x"), 3)

    def test_a_head_tells_of_the_entry(self):
        head = {"/same": {"X_New": "1", "ETag": '"a"'}, "/other": {"ETag": '"b"'}, "/longer": {"Content_Length": "9"}}

        def answer(request):
            control = "max-age=60" if request.command == "HEAD" else "max-age=60, stale-if-error=60"
            headers = head[request.path] if request.command == "HEAD" else {"ETag": '"a"'}
            request.reply(200, b"whole", Cache_Control=control, **headers)
        port = self.serve(answer)
        for path in head:
            fetch(port, path)
            fetch(port, path, "HEAD", Cache_Control="no-cache")
            again = fetch(port, path)
            self.assertEqual((path, again.body, again["X-New"]), (path, b"whole", "1" if path == "/same" else None))
            self.assertEqual((path, self.origin.count(path)), (path, 2 if path == "/same" else 3))

    def test_what_has_a_newer_answer_stands_in_for_nothing(self):
        # A 429 is no newer answer: what is stale is given in its place.
        second = {"/same": (200, 200), "/gone": (410, 410), "/limited": (429, 200)}

        def answer(request):
            is_first = self.origin.count(request.path) == 1
            status, control = (200, "max-age=1") if is_first else (second[request.path][0], "no-store")
            request.reply(status, b"x", Cache_Control=control, ETag='"a"', Age="9")
        port = self.serve(answer)
        for path, (_, given) in second.items():
            fetch(port, path)
            self.assertEqual((path, fetch(port, path).status), (path, given))
        self.origin.stop()
        self.assertEqual([path for path in second if fetch(port, path).status == 200], ["/limited"])

    def test_what_is_said_to_caches_alone(self):
        controls = {"/cdn": {"CDN_Cache_Control": "max-age=60"}, "/ours": {"Nuthatch_Cache_Control": "max-age=60"},
                    "/bad": {"CDN_Cache_Control": "max-age=60,"}}
        port = self.serve(lambda r: r.reply(200, b"x", Cache_Control="no-store", **controls[r.path]))
        for path in controls:
            fetch(port, path)
            answer = fetch(port, path)
            self.assertEqual((path, "; hit" in answer["Cache-Status"]), (path, path != "/bad"))
            self.assertEqual((answer["Cache-Control"], answer["CDN-Cache-Control"], answer["Nuthatch-Cache-Control"]),
                             ("no-store", controls[path].get("CDN_Cache_Control"), None))

    def test_a_304_relies_on_what_was_said_to_us_alone(self):
        def answer(request):
            if request.headers["If-None-Match"]:
                request.reply(304, X_New="1")
            else:
                request.reply(200, b"x", ETag='"a"', Cache_Control="no-store", Nuthatch_Cache_Control="max-age=9", Age="99")
        port = self.serve(answer)
        fetch(port, "/x")
        self.assertRegex(fetch(port, "/x")["Cache-Status"], "fwd-status=304; ttl=[89]; stored")
        answer = fetch(port, "/x")
        self.assertEqual((answer["X-New"], answer["Nuthatch-Cache-Control"]), ("1", None))
        self.assertIn("; hit", answer["Cache-Status"])

    def test_switches_for_cookies_and_immutable(self):
        def answer(request):
            if request.path == "/sets":
                request.reply(200, b"x", Cache_Control="max-age=60", Set_Cookie="a=b")
            else:
                request.reply(200, b"x", Cache_Control="max-age=60, immutable")
        asked = [("/sets", {}), ("/gets", {"Cookie": "a=b"}), ("/reloaded", {"Cache_Control": "no-cache"})]
        for arguments, wanted in (((), 2), (("--store-set-cookie", "yes", "--ignore-cookies", "yes",
                                             "--immutable", "yes"), 1)):
            port = self.serve(answer, *arguments)
            for path, headers in asked:
                fetch(port, path) if path == "/reloaded" else fetch(port, path, **headers)
                again = fetch(port, path, **headers)
                self.assertEqual((path, self.origin.count(path)), (path, wanted))
                if path == "/sets":
                    self.assertEqual(again["Set-Cookie"], "a=b")


if __name__ == "__main__":
    unittest.main()
