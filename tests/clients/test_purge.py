"""Purges: by URL, prefix, tag, everything, soft and hard; against what is stored, and against what is being fetched."""
import http.client, json, os, shlex, subprocess, tempfile, threading, time, unittest

from harness import Nuthatch, Origin, WithAdministrator, fetch

PATIENCE_S = 20


class Held:
    """An origin whose answers to paths that begin with /held wait until they are let go."""

    def __init__(self, answer):
        self.gate = threading.Event()
        self.arrived = threading.Semaphore(0)
        self.answer = answer

    def __call__(self, request):
        body = self.answer(request) if not request.path.startswith("/held") else None
        if body is None:
            body = self.answer(request)  # what it is when the request comes
            self.arrived.release()
            self.gate.wait(PATIENCE_S)
        status, text, headers = body
        request.reply(status, text, **headers)


class Purging(unittest.TestCase):
    def serve(self, answer, *arguments, **options):
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--memory", "64M", "--threads", "2", "--admin",
                          "http://127.0.0.1:0", *arguments, listen="http://127.0.0.1:0", **options)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        server.admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
        return origin, server

    def counting(self, headers=lambda path: {}, *arguments):
        """An origin that answers with how often it was asked for the path, for an hour."""
        counts = {}

        def answer(request):
            key = (request.path, request.headers["Accept-Language"])
            counts[key] = counts.get(key, 0) + 1
            tag = f'"{counts[key]}"'
            request.reply(200, str(counts[key]).encode(),
                          **{"Cache_Control": "max-age=3600", "ETag": tag, **headers(request.path)})
        return self.serve(answer, *arguments)

    def purge(self, server, **order):
        answer = fetch(server.admin, "/purge", "POST", json.dumps(order))
        self.assertEqual((order, answer.status, json.loads(answer.body)),
                         (order, 200, {"purged": 1, "soft": order.get("soft", False)}))

    def bodies(self, server, *paths, **headers):
        """What both workers say, asked often enough that both are asked."""
        said = [fetch(server.port, path, **headers).body.decode() for path in paths for _ in range(6)]
        return sorted(set(said))

    def test_one_url_goes_with_all_its_variants_and_nothing_else_does(self):
        origin, server = self.counting(lambda path: {"Vary": "Accept-Language"} if path == "/v" else {})
        for language in ("de", "fr"):
            self.assertEqual(self.bodies(server, "/v", Accept_Language=language), ["1"])
        self.assertEqual(self.bodies(server, "/w"), ["1"])
        self.purge(server, url="/v")
        for language in ("de", "fr"):
            self.assertEqual(self.bodies(server, "/v", Accept_Language=language), ["2"])
        self.assertEqual(self.bodies(server, "/w"), ["1"])
        self.purge(server, url=f"http://127.0.0.1:{server.port}/w?")  # another one: it has a query
        self.assertEqual(self.bodies(server, "/w"), ["1"])
        self.purge(server, url=f"http://127.0.0.1:{server.port}/w")
        self.assertEqual(self.bodies(server, "/w"), ["2"])

    def test_a_purge_finds_what_a_route_keys_in_its_own_way(self):
        answer = lambda request: request.reply(200, b"%d" % origin.count(), Cache_Control="max-age=3600")
        origin, server = self.serve(answer, "--key-query-ignore", "utm_*", "--key-headers", "X-Tenant")

        def ask(path, tenant):
            return int(fetch(server.port, path, X_Tenant=tenant).body)
        for word in ({"url": "/x?utm_b=1"}, {"url": "/x", "soft": True}, {"prefix": "/x"}, {"prefix": "/x", "soft": True}, {"all": True}):
            before = [ask("/x?utm_a=1", tenant) for tenant in "pq"]
            self.assertEqual(before, [ask("/x", tenant) for tenant in "pq"])
            self.assertEqual(len(set(before)), 2)
            self.purge(server, **word)
            self.assertTrue(set(before).isdisjoint(ask("/x", tenant) for tenant in "pq"), word)

    def test_a_purge_of_one_url_takes_out_what_is_given_for_it_though_stored_for_another(self):
        answer = lambda request: request.reply(200, b"%d" % origin.count(), Cache_Control="max-age=3600", **{"No-Vary-Search": "params"})
        origin, server = self.serve(answer)
        for word in ({}, {"soft": True}):
            before = fetch(server.port, "/x?a=1").body
            self.assertEqual([fetch(server.port, f"/x?a={i}").body for i in (2, 3)], [before] * 2)
            self.purge(server, url="/x?a=2", **word)
            self.assertNotEqual(fetch(server.port, "/x?a=2").body, before)
            self.assertNotEqual(fetch(server.port, "/x?a=1").body, before)
            self.purge(server, all=True)

    def test_a_purge_of_a_prefix_that_reaches_into_the_query_finds_what_is_given_for_its_urls(self):
        answer = lambda request: request.reply(200, b"%d" % origin.count(), Cache_Control="max-age=3600", **{"No-Vary-Search": "params"})
        origin, server = self.serve(answer)
        for path, pause_s in (("/now", 0), ("/later", 0.5)):  # later the rule has been let go
            for word in ({}, {"soft": True}):
                with self.subTest(path=path, word=word):
                    before = fetch(server.port, f"{path}?a=1").body
                    self.assertEqual([fetch(server.port, f"{path}?a={i}").body for i in (2, 3)], [before] * 2)
                    self.purge(server, prefix=f"{path}?a=2", **word)
                    time.sleep(pause_s)
                    self.assertEqual([fetch(server.port, f"{path}?a={i}").body for i in (1, 3)], [before] * 2)
                    after = fetch(server.port, f"{path}?a=2").body
                    self.assertNotEqual(after, before)
                    self.assertEqual(fetch(server.port, f"{path}?a=22").body, after)
                    self.purge(server, all=True)

    def test_a_soft_purge_of_one_url_has_all_its_variants_validated(self):
        def answer(request):
            if request.headers["If-None-Match"]:
                request.reply(304, ETag=request.headers["If-None-Match"])
                return
            vary = {"Vary": "Accept-Language"} if request.path == "/v" else {}
            request.reply(200, b"x", Cache_Control="max-age=3600", ETag='"a"', **vary)
        origin, server = self.serve(answer)
        for path, headers in (("/v", {"Accept_Language": "de"}), ("/v", {"Accept_Language": "fr"}), ("/w", {})):
            for _ in range(2):
                fetch(server.port, path, **headers)
        self.assertEqual(origin.count(), 3)
        self.purge(server, url="/v", soft=True)
        for headers in ({"Accept_Language": "de"}, {"Accept_Language": "fr"}):
            self.assertIn("fwd=stale; fwd-status=304", fetch(server.port, "/v", **headers)["Cache-Status"])
            self.assertIn("; hit", fetch(server.port, "/v", **headers)["Cache-Status"])
        self.assertEqual(origin.count(), 5)
        self.assertIn("; hit", fetch(server.port, "/w")["Cache-Status"])
        self.purge(server, url="/w", soft=True)
        self.assertIn("fwd=stale; fwd-status=304", fetch(server.port, "/w")["Cache-Status"])
        self.assertIn("; hit", fetch(server.port, "/w")["Cache-Status"])

    def test_a_soft_purge_holds_for_clients_with_credentials(self):
        def answer(request):
            request.reply(200, b"%d" % origin.count(), Cache_Control="public, max-age=3600, stale-while-revalidate=60")
        origin, server = self.serve(answer)
        self.assertEqual([fetch(server.port, "/x", Authorization="a").body for _ in range(2)], [b"1", b"1"])
        self.purge(server, url="/x", soft=True)
        self.assertEqual([fetch(server.port, "/x", Authorization="a").body for _ in range(2)], [b"2", b"2"])

    def test_of_the_variants_of_one_url_the_newest_32_stay(self):
        origin, server = self.counting(lambda path: {"Vary": "Accept-Language"})

        def items():
            text = fetch(server.admin, "/metrics").body.decode()
            return int(text.partition("\nnuthatch_store_items ")[2].split()[0])
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        self.addCleanup(connection.close)

        def ask(i):
            return fetch(server.port, "/v", connection=connection, Accept_Language=str(i))["Cache-Status"]
        for i in range(40):
            ask(i)
        self.assertLessEqual(items(), 32 + 32 + 1)  # the variants, their places, the marker
        for i in range(8, 40):
            self.assertIn("; hit", ask(i))
        before = items()
        for i in range(80):
            ask(i)
        self.assertEqual(items(), before)
        self.purge(server, url="/v")
        self.assertIn("uri-miss", ask(79))

    def test_a_prefix_takes_what_is_below_it_at_once_on_all_workers(self):
        origin, server = self.counting()
        paths = [f"/a/{i}" for i in range(5)] + ["/a", "/ab", "/b/a/1"]
        self.assertEqual(self.bodies(server, *paths), ["1"])
        self.purge(server, prefix="/a/")
        self.assertEqual(self.bodies(server, *paths[:5]), ["2"])
        self.assertEqual(self.bodies(server, *paths[5:]), ["1"])
        self.purge(server, prefix=f"{origin.url}/b")
        self.purge(server, prefix="http://127.0.0.1:1/a")  # another origin's
        self.assertEqual(self.bodies(server, "/b/a/1"), ["2"])
        self.assertEqual(self.bodies(server, "/a/1"), ["2"])

    def test_a_purge_of_everything_and_what_comes_after_stays(self):
        origin, server = self.counting()
        paths = [f"/{i}" for i in range(8)]
        self.assertEqual(self.bodies(server, *paths), ["1"])
        self.purge(server, all=True)
        self.assertEqual(self.bodies(server, *paths), ["2"])
        time.sleep(0.4)  # the walk has been through, the rule is gone
        self.assertEqual(self.bodies(server, *paths), ["2"])
        self.purge(server, all=True, soft=True)
        time.sleep(0.4)
        self.assertIn("fwd=stale", fetch(server.port, "/1")["Cache-Status"])

    def test_many_purges_by_prefix_are_carried_out_and_let_go(self):
        origin, server = self.counting()
        self.assertEqual(self.bodies(server, "/x/1"), ["1"])
        refused = 0
        for i in range(200):
            answer = fetch(server.admin, "/purge", "POST", json.dumps({"prefix": f"/none/{i}"}))
            self.assertIn(answer.status, (200, 503))
            refused += answer.status == 503
        end = time.time() + PATIENCE_S
        while fetch(server.admin, "/purge", "POST", json.dumps({"prefix": "/x/"})).status != 200:
            self.assertLess(time.time(), end)
            time.sleep(0.05)
        self.assertEqual(self.bodies(server, "/x/1"), ["2"])

    def test_tags_of_all_kinds_and_none_is_sent_on(self):
        headers = {"/s": {"Surrogate_Key": "red  green"}, "/c": {"Cache_Tag": "red,a b , green"},
                   "/x": {"xkey": "red green,blue"}, "/n": {}, "/g": {"Cache_Groups": '"red", "G"'}}
        origin, server = self.counting(lambda path: headers[path])
        every = list(headers)
        self.assertEqual(self.bodies(server, *every), ["1"])
        for path in every:
            answer = fetch(server.port, path)
            self.assertEqual([answer[n] for n in ("Surrogate-Key", "Cache-Tag", "xkey")], [None] * 3)
        self.assertEqual(fetch(server.port, "/g")["Cache-Groups"], '"red", "G"')
        self.purge(server, tag="red")
        self.assertEqual(self.bodies(server, "/s", "/c", "/x"), ["2"])
        self.assertEqual(self.bodies(server, "/n", "/g"), ["1"])
        self.purge(server, tag="a b")
        self.assertEqual(self.bodies(server, "/c"), ["3"])
        self.purge(server, tag="blue")
        self.assertEqual(self.bodies(server, "/x"), ["3"])
        self.purge(server, tag="Green")  # names are case-sensitive
        self.assertEqual(self.bodies(server, "/s"), ["2"])
        answer = fetch(server.admin, "/purge", "POST", json.dumps({"tag": ["green", "blue"], "soft": True}))
        self.assertEqual(json.loads(answer.body), {"purged": 2, "soft": True})
        for path in ("/s", "/c", "/x"):
            self.assertIn("fwd=stale", fetch(server.port, path)["Cache-Status"])

    def test_tags_live_on_with_what_is_validated(self):
        def answer(request):
            if request.headers["If-None-Match"]:
                request.reply(304, Cache_Control="max-age=3600", ETag='"a"')
            else:
                request.reply(200, b"x", Cache_Control="max-age=0", ETag='"a"', Surrogate_Key="t")
        origin, server = self.serve(answer)
        fetch(server.port, "/a")
        self.assertIn("fwd-status=304", fetch(server.port, "/a")["Cache-Status"])
        self.assertIn("; hit", fetch(server.port, "/a")["Cache-Status"])
        self.purge(server, tag="t")
        self.assertIn("uri-miss", fetch(server.port, "/a")["Cache-Status"])

    def test_what_has_more_tags_than_can_be_kept_is_not_stored(self):
        count = {"/128": 128, "/129": 129}
        origin, server = self.counting(
            lambda path: {"Surrogate_Key": " ".join(f"t{i}" for i in range(count[path]))})
        for path in count:
            fetch(server.port, path)
        self.assertEqual(fetch(server.port, "/128").body, b"1")
        self.assertEqual(fetch(server.port, "/129").body, b"2")
        self.purge(server, tag="t127")
        self.assertEqual(fetch(server.port, "/128").body, b"2")

    def test_a_purged_answer_does_not_come_back_from_a_fetch_in_flight(self):
        for order in ({"url": "/held"}, {"prefix": "/he"}, {"tag": "t"}, {"all": True}, {"url": "/held", "soft": True},
                      {"prefix": "/he", "soft": True}, {"tag": "t", "soft": True}, {"all": True, "soft": True}):
            with self.subTest(order=order):
                state = {"body": b"old"}
                held = Held(lambda request: (200, state["body"],
                                             {"Cache_Control": "max-age=3600", "Surrogate_Key": "t"}))
                origin, server = self.serve(held)
                answers = []

                def ask():
                    answers.append(fetch(server.port, "/held").body)
                first = threading.Thread(target=ask)
                first.start()
                held.arrived.acquire(timeout=PATIENCE_S)  # the origin has read what is old
                state["body"] = b"new"
                self.purge(server, **order)
                later = [threading.Thread(target=ask) for _ in range(8)]  # who asks now, on both workers
                for thread in later:
                    thread.start()
                time.sleep(0.1)
                held.gate.set()
                for thread in [first, *later]:
                    thread.join()
                self.assertEqual(sorted(answers), [b"new"] * 8 + [b"old"])
                self.assertEqual(self.bodies(server, "/held"), ["new"])
                time.sleep(0.15)  # a rule has been let go meanwhile
                self.assertEqual(self.bodies(server, "/held"), ["new"])
                self.assertLessEqual(origin.count(), 4)

    def test_a_purge_elsewhere_leaves_a_slow_answer_to_all_who_wait_for_it(self):
        held = Held(lambda request: (200, b"slow", {"Cache_Control": "max-age=3600"}))
        origin, server = self.serve(held)
        first = threading.Thread(target=fetch, args=(server.port, "/held"))
        first.start()
        held.arrived.acquire(timeout=PATIENCE_S)
        for _ in range(4):  # each is carried out, and let go, before the answer comes
            self.purge(server, prefix="/elsewhere/")
            time.sleep(0.25)
        later = [threading.Thread(target=fetch, args=(server.port, "/held")) for _ in range(8)]
        for thread in later:
            thread.start()
        time.sleep(0.1)
        held.gate.set()
        for thread in [first, *later]:
            thread.join()
        self.assertEqual(self.bodies(server, "/held"), ["slow"])
        self.assertEqual(origin.count("/held"), 1)

    def test_purges_race_with_fetches_and_nothing_old_is_kept(self):
        """What the origin says is the number of purges so far: an answer asked for after a purge must know it."""
        state = {"n": 0}
        origin, server = self.serve(lambda r: r.reply(200, str(state["n"]).encode(), Cache_Control="max-age=3600",
                                                      Surrogate_Key="t"))
        stop, wrong = threading.Event(), []

        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
            while not stop.is_set():
                known = state["purged"] if "purged" in state else 0
                said = int(fetch(server.port, "/x", connection=connection).body)
                if said < known:
                    wrong.append((said, known))
            connection.close()
        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        orders = [{"url": "/x"}, {"tag": "t"}, {"prefix": "/x"}, {"url": "/x", "soft": True}, {"tag": "t", "soft": True},
                  {"all": True}]
        end = time.time() + 1
        while time.time() < end:
            state["n"] += 1
            number = state["n"]
            if fetch(server.admin, "/purge", "POST", json.dumps(orders[number % len(orders)])).status == 200:
                state["purged"] = number
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
        self.assertGreater(state["purged"], 20)

    def test_a_soft_purge_lets_what_is_stale_stand_in(self):
        state = {"broken": False}

        def answer(request):
            if state["broken"]:
                request.reply(503, b"broken")
            else:
                request.reply(200, b"x", Cache_Control="max-age=3600, stale-if-error=3600", Surrogate_Key="t")
        origin, server = self.serve(answer)
        fetch(server.port, "/a")
        state["broken"] = True
        self.purge(server, tag="t", soft=True)
        answer = fetch(server.port, "/a")
        self.assertEqual((answer.status, answer.body), (200, b"x"))
        self.assertIn("stale-if-error", answer["Cache-Status"])
        self.purge(server, tag="t")
        self.assertEqual(fetch(server.port, "/a").status, 503)

    def test_groups_are_invalidated_by_answers_to_unsafe_methods_alone(self):
        """RFC 9875, and attack 26 of the catalogue: on GET it is ignored, and so is another origin's."""
        groups = ", ".join(f'"group-{i:0>26}"' for i in range(32))

        def answer(request):
            count[request.path] = count.get(request.path, 0) + 1
            headers = {"/many": {"Cache_Groups": groups}, "/one": {"Cache_Groups": '"One"'}}.get(request.path, {})
            if request.path.startswith("/invalidate"):
                headers = {"Cache_Group_Invalidation": request.path.partition("?")[2].replace("%22", '"')}
            request.reply(200, str(count[request.path]).encode(), Cache_Control="max-age=3600", **headers)
        count = {}
        origin, server = self.serve(answer)
        self.assertEqual(self.bodies(server, "/many", "/one", "/none"), ["1"])
        fetch(server.port, "/invalidate?%22One%22")
        fetch(server.port, "/invalidate?%22One%22", "HEAD")
        fetch(server.port, "/invalidate?%22one%22", "POST")  # case-sensitive
        fetch(server.port, "/invalidate?%22One%22,1", "POST")  # no list of strings
        fetch(server.port, "/invalidate?One", "POST")
        self.assertEqual(self.bodies(server, "/many", "/one", "/none"), ["1"])
        fetch(server.port, "/invalidate?%22One%22", "POST")
        self.assertEqual(self.bodies(server, "/one"), ["2"])
        self.assertEqual(self.bodies(server, "/many", "/none"), ["1"])
        fetch(server.port, f"/invalidate?%22x%22,%22group-{31:0>26}%22;a=1", "DELETE")
        self.assertEqual(self.bodies(server, "/many"), ["2"])
        self.purge(server, tag="One")  # a tag, which is no group
        self.assertEqual(self.bodies(server, "/one"), ["2"])

    def test_a_write_invalidates_variants_and_what_is_in_flight(self):
        """Attack 21: a fetch begun before a POST that succeeds is not stored."""
        state = {"body": b"old"}

        def content(request):
            if request.command == "POST":
                state["body"] = b"new"
                return 201, b"", {"Location": "http://other.test/w"}
            return 200, state["body"], {"Cache_Control": "max-age=3600", "Vary": "Accept-Language"}

        def answer(request):
            if request.command == "GET" and request.path == "/held":
                held(request)
            else:
                request.reply(content(request)[0], content(request)[1], **content(request)[2])
        held = Held(content)
        origin, server = self.serve(answer)
        first = threading.Thread(target=fetch, args=(server.port, "/held"))
        first.start()
        held.arrived.acquire(timeout=PATIENCE_S)
        self.assertEqual(fetch(server.port, "/held", "POST", b"x").status, 201)
        held.gate.set()
        first.join()
        for language in ("de", "fr"):
            self.assertEqual(self.bodies(server, "/held", Accept_Language=language), ["new"])


    def test_a_purge_by_prefix_outlives_a_restart(self):
        """It is carried out before the values are saved, and what is restored can be purged again."""
        counts = {}

        def answer(request):
            counts[request.path] = counts.get(request.path, 0) + 1
            request.reply(200, str(counts[request.path]).encode(), Cache_Control="max-age=3600")
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)

        def start():
            server = Nuthatch("gateway", origin.url, "--memory", "64M", "--persist", f"{folder.name}/values", "--admin",
                              "http://127.0.0.1:0", listen="http://127.0.0.1:0")
            server.admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
            return server
        with start() as server:
            self.purge(server, prefix="/none")
            self.assertEqual(self.bodies(server, "/a/1", "/b/1"), ["1"])
            self.purge(server, prefix="/a/")
        with start() as server:
            self.assertEqual(self.bodies(server, "/a/1"), ["2"])
            self.assertEqual(self.bodies(server, "/b/1"), ["1"])
            self.purge(server, prefix="/b/")
            self.assertEqual(self.bodies(server, "/b/1"), ["2"])


class ByMethod(unittest.TestCase):
    serve = Purging.serve
    counting = Purging.counting
    bodies = Purging.bodies

    def test_purge_takes_its_url_with_all_variants(self):
        origin, server = self.counting(lambda path: {"Vary": "Accept-Language"}, "--purge-method", "yes",
                                       "--admin-token", "sesame")
        for language in ("de", "fr"):
            self.assertEqual(self.bodies(server, "/a?b", "/a", Accept_Language=language), ["1"])
        answer = fetch(server.port, "/a?b", "PURGE", Authorization="Bearer sesame")
        self.assertEqual((answer.status, json.loads(answer.body)), (200, {"purged": 1, "soft": False}))
        for language in ("de", "fr"):
            self.assertEqual(self.bodies(server, "/a?b", Accept_Language=language), ["2"])
            self.assertEqual(self.bodies(server, "/a", Accept_Language=language), ["1"])
        answer = fetch(server.port, "/a", "PURGE", Authorization="Bearer sesame", Nuthatch_Purge="soft")
        self.assertEqual((answer.status, json.loads(answer.body)), (200, {"purged": 1, "soft": True}))
        self.assertIn("fwd=stale", fetch(server.port, "/a", Accept_Language="de")["Cache-Status"])

    def test_who_may_not_is_told_and_nothing_happens(self):
        origin, server = self.counting(lambda path: {}, "--purge-method", "yes", "--admin-token", "sesame")
        fetch(server.port, "/a")
        for headers, status in (({}, 401), ({"Authorization": "Bearer x"}, 401), ({"Authorization": "Basic sesame"}, 401),
                                ({"Authorization": "Bearer sesame", "Origin": "http://evil.test"}, 403),
                                ({"Authorization": "Bearer sesame", "Nuthatch_Purge": "a bit"}, 400)):
            answer = fetch(server.port, "/a", "PURGE", **headers)
            self.assertEqual((headers, answer.status, json.loads(answer.body)["status"]), (headers, status, status))
        self.assertEqual(self.bodies(server, "/a"), ["1"])

    def test_it_needs_a_token_and_without_the_option_goes_to_the_origin(self):
        with self.assertRaises(AssertionError) as raised:
            Nuthatch("gateway", "http://127.0.0.1:1", "--purge-method", "yes", listen="http://127.0.0.1:0")
        self.assertIn("purge-method needs admin-token", str(raised.exception))
        origin, server = self.serve(lambda r: r.reply(200, r.command.encode()), "--admin-token", "sesame")
        self.assertEqual(fetch(server.port, "/a", "PURGE", Authorization="Bearer sesame").body, b"PURGE")


class WithRoutes(unittest.TestCase):
    bodies = Purging.bodies

    def test_a_url_is_the_clients_and_a_prefix_the_origins(self):
        counts = {}

        def answer(request):
            key = (request.headers["Host"], request.path)
            counts[key] = counts.get(key, 0) + 1
            request.reply(200, str(counts[key]).encode(), Cache_Control="max-age=3600")
        one, two = Origin(answer), Origin(answer)
        self.addCleanup(one.stop)
        self.addCleanup(two.stop)
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/nuthatch.yaml", "w") as file:
                file.write(f"""
                    threads: 2
                    memory: 64M
                    admin: http://127.0.0.1:0
                    admin-token: sesame
                    gateway:
                      listen: http://127.0.0.1:0
                      upstreams: {{one: {{origin: {one.url}}}, two: {{origin: {two.url}}}}}
                      routes:
                        - match: {{path: /one/**, method: [GET, HEAD]}}
                          upstream: one
                          rewrite: {{strip-prefix: /one, prefix: /v3}}
                          request-headers: {{set: {{X-Api: "1"}}}}
                          purge-method: yes
                        - match: {{path: /two/**}}
                          upstream: two
                """)
            with Nuthatch("serve", f"{folder}/nuthatch.yaml", listen=[]) as server:
                admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])

                def purge(**order):
                    return fetch(admin, "/purge", "POST", json.dumps(order), Authorization="Bearer sesame").status
                every = ("/one/a", "/one/b", "/two/a")
                self.assertEqual(self.bodies(server, *every), ["1"])
                self.assertEqual(purge(url="/three"), 404)
                self.assertEqual(purge(url="/one/a"), 200)
                self.assertEqual(self.bodies(server, "/one/a"), ["2"])
                self.assertEqual(self.bodies(server, "/one/b", "/two/a"), ["1"])
                self.assertEqual(purge(prefix="/v3/a"), 200)
                self.assertEqual(self.bodies(server, "/one/a"), ["3"])
                self.assertEqual(purge(prefix=f"{one.url}/v3/"), 200)
                self.assertEqual(self.bodies(server, "/one/b"), ["2"])
                self.assertEqual(self.bodies(server, "/two/a"), ["1"])
                self.assertEqual(fetch(server.port, "/one/b", "PURGE", Authorization="Bearer sesame").status, 200)
                self.assertEqual(self.bodies(server, "/one/b"), ["3"])
                self.assertEqual(fetch(server.port, "/two/a", "PURGE", Authorization="Bearer sesame").status, 200)
                self.assertEqual([request[0] for request in two.requests[-1:]], ["PURGE"])  # that route takes none


class ByBody(unittest.TestCase):
    """QUERY, and POST where a route says so: the body is part of the key."""
    serve = Purging.serve
    purge = Purging.purge

    def counting(self, *arguments, headers=None):
        counts = {}

        def answer(request):
            key = (request.command, request.path, request.body)
            counts[key] = counts.get(key, 0) + 1
            request.reply(200, b"%d:%s" % (counts[key], request.body),
                          **{"Cache_Control": "max-age=3600", **(headers or {})})
        return self.serve(answer, *arguments)

    def ask(self, server, body, method="QUERY", path="/q", **headers):
        answer = fetch(server.port, path, method, body, Content_Type=headers.pop("Content_Type", "text/a"), **headers)
        return answer.body, answer["Cache-Status"].partition("nuthatch; ")[2].partition(";")[0]

    def test_the_same_question_is_asked_once_and_another_is_another(self):
        origin, server = self.counting("--cache-query", "yes", "--cache-post", "yes")
        for method in ("QUERY", "POST"):
            self.assertEqual(self.ask(server, b"a", method), (b"1:a", "fwd=uri-miss"))
            self.assertEqual(self.ask(server, b"a", method), (b"1:a", "hit"))
            self.assertEqual(self.ask(server, b"b", method), (b"1:b", "fwd=uri-miss"))
            self.assertEqual(self.ask(server, b"a", method, Content_Type="text/b"), (b"2:a", "fwd=uri-miss"))
            self.assertEqual(self.ask(server, b"a", method, path="/q?x"), (b"1:a", "fwd=uri-miss"))
            self.assertEqual(self.ask(server, b"", method), (b"1:", "fwd=uri-miss"))
            self.assertEqual(self.ask(server, b"", method), (b"1:", "hit"))
        self.assertEqual(fetch(server.port, "/q").body, b"1:")
        whole = b"x" * 65536
        pieces = (whole[i:i + 1000] for i in range(0, len(whole), 1000))
        self.assertEqual(self.ask(server, whole), (b"1:" + whole, "fwd=uri-miss"))
        self.assertEqual(self.ask(server, pieces), (b"1:" + whole, "hit"))  # however it is framed

    def test_without_the_option_nothing_is_kept_and_query_is_safe(self):
        origin, server = self.counting()
        fetch(server.port, "/q")
        for method in ("QUERY", "POST"):
            self.assertEqual(self.ask(server, b"a", method), (b"1:a", "fwd=method"))
            self.assertEqual(self.ask(server, b"a", method), (b"2:a", "fwd=method"))
            self.assertEqual("; hit" in fetch(server.port, "/q")["Cache-Status"], method == "QUERY")

    def test_a_larger_body_passes_uncached_and_unchanged(self):
        origin, server = self.counting("--cache-query", "yes", "--cache-body-max", "10k")
        for size, word in ((10240, "hit"), (10241, "fwd=method"), (300_000, "fwd=method")):
            body = os.urandom(size)
            pieces = [body[i:i + 7000] for i in range(0, len(body), 7000)]
            for number, sent in enumerate((body, iter(pieces), body, iter(pieces)), 1):
                said, status = self.ask(server, sent)
                self.assertEqual(said.partition(b":")[2] == body, True)
                self.assertEqual((size, said.partition(b":")[0]), (size, b"1" if word == "hit" else b"%d" % number))
        self.assertEqual(status.partition("=")[0], "fwd")

    def test_only_explicit_freshness_keeps_an_answer(self):
        origin, server = self.counting("--cache-query", "yes", headers={
            "Cache_Control": "public", "Last_Modified": "Wed, 01 Jan 2020 00:00:00 GMT"})
        self.assertEqual([self.ask(server, b"a")[0] for _ in range(2)], [b"1:a", b"2:a"])

    def test_variants_and_purges(self):
        origin, server = self.counting("--cache-query", "yes", headers={"Vary": "Accept-Language", "xkey": "t"})
        expected = 0
        for order in (None, {"url": "/q"}, {"tag": "t"}, {"prefix": "/q"}, {"all": True}, {"url": "/q", "soft": True}):
            if order is not None:
                self.purge(server, **order)
            for language in ("de", "fr"):
                expected += 1
                for _ in range(6):
                    self.assertEqual((order, self.ask(server, b"a", Accept_Language=language)[0]),
                                     (order, b"%d:a" % expected))

    def test_many_who_ask_the_same_wait_for_one(self):
        held = Held(lambda request: (200, request.body, {"Cache_Control": "max-age=60"}))
        origin, server = self.serve(held, "--cache-query", "yes")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask(server, b"q", path="/held")[0]))
                   for _ in range(20)]
        for thread in threads:
            thread.start()
        held.arrived.acquire(timeout=PATIENCE_S)
        time.sleep(0.3)
        held.gate.set()
        for thread in threads:
            thread.join()
        self.assertEqual((answers, origin.count()), ([b"q"] * 20, 1))

    def test_a_client_that_leaves_takes_nothing_from_the_others(self):
        held = Held(lambda request: (200, request.body, {"Cache_Control": "max-age=60"}))
        origin, server = self.serve(held, "--cache-query", "yes")
        first = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
        first.request("QUERY", "/held", b"q" * 60000, {"Content-Type": "text/a"})
        held.arrived.acquire(timeout=PATIENCE_S)
        answers = []
        second = threading.Thread(target=lambda: answers.append(self.ask(server, b"q" * 60000, path="/held")[0]))
        second.start()
        time.sleep(0.2)
        first.close()
        time.sleep(0.2)
        held.gate.set()
        second.join()
        self.assertEqual((answers, origin.count()), ([b"q" * 60000], 1))

    def test_a_mutation_is_no_question(self):
        origin, server = self.counting("--cache-post", "yes")
        query, mutation = b'{"query":"{ birds }"}', b'{"query":"mutation { add }"}'
        self.assertEqual(self.ask(server, query, "POST")[0], b"1:" + query)
        self.assertEqual(self.ask(server, query, "POST")[1], "hit")
        for number in (1, 2):
            self.assertEqual(self.ask(server, mutation, "POST"), (b"%d:%s" % (number, mutation), "fwd=method"))
        self.assertEqual(self.ask(server, query, "POST")[0], b"2:" + query)  # it may have changed what is asked
        for hidden, fields in ((rb'{"query":"\u006dutation { add }"}', {}), (b"coded", {"Content_Encoding": "gzip"})):
            for _ in range(2):
                self.assertEqual(self.ask(server, hidden, "POST", **fields)[1], "fwd=method")

    def test_what_a_question_of_one_person_says_is_not_for_others(self):
        origin, server = self.counting("--cache-query", "yes")
        self.assertEqual(self.ask(server, b"a", Authorization="x")[0], b"1:a")
        self.assertEqual(self.ask(server, b"a")[0], b"2:a")
        self.assertEqual(self.ask(server, b"a", Authorization="x")[0], b"3:a")
        self.assertEqual(self.ask(server, b"a", Cache_Control="no-store")[0], b"4:a")
        self.assertEqual(self.ask(server, b"a", Cache_Control="no-cache")[0], b"5:a")
        self.assertEqual(self.ask(server, b"a"), (b"5:a", "hit"))


class Documentation(unittest.TestCase):
    serve = Purging.serve

    def test_every_curl_of_the_page_is_true(self):
        with open(os.path.join(os.path.dirname(__file__), "../../docs/purging.md")) as page:
            lines = [line.strip() for line in page if line.startswith("    curl ")]
        self.assertGreater(len(lines), 6)

        def answer(request):
            request.reply(200, b"x")
        _, plain = self.serve(answer)
        _, guarded = self.serve(answer, "--admin-token", "sesame", "--purge-method", "yes")
        for line in lines:
            server = guarded if "sesame" in line else plain
            here = line.replace("127.0.0.1:9190", f"127.0.0.1:{server.admin}").replace("127.0.0.1:8080",
                                                                                      f"127.0.0.1:{server.port}")
            out = subprocess.run([*shlex.split(here), "-sS"], capture_output=True, timeout=30, check=True).stdout
            self.assertIn("purged", json.loads(out), line)


class Administering(WithAdministrator):
    def test_what_is_wrong_is_said(self):
        cases = [
            (b"", 400, "JSON"), (b"{", 400, "line 1, column"), (b"[]", 400, "object"), (b"{}", 400, "write"),
            (b'{"url": "/a", "tag": "b"}', 400, "only one"), (b'{"url": 1}', 400, "text"),
            (b'{"url": ""}', 400, "empty"), (b'{"url": []}', 400, "empty"), (b'{"all": false}', 400, "all"),
            (b'{"url": "/a", "soft": 1}', 400, "soft"), (b'{"url": "/a", "sotf": true}', 400, "no other keys"),
            (b'{"url": "/a", "url": "/b"}', 400, "duplicate"), (b'{"url": "a"}', 400, "no URL"),
            (b'{"url": "/a/../b"}', 400, "no URL"), (b'{"url": "http:///a"}', 400, "no URL"),
            (b'{"prefix": "a"}', 400, "no prefix"), (b'{"tag": ["a", 1]}', 400, "text"),
            (json.dumps({"tag": [str(i) for i in range(257)]}).encode(), 400, "256"),
            (b'{"tag": ["a", "b"], "prefix": "/"}', 400, "only one"), (b" " * 70000, 413, "64 KiB")]
        for body, status, words in cases:
            answer = fetch(self.admin, "/purge", "POST", body)
            problem = json.loads(answer.body)
            self.assertEqual((body[:40], answer.status, problem["status"]), (body[:40], status, status))
            self.assertIn(words, problem["detail"])
            self.assertEqual(answer["Content-Type"], "application/problem+json")
        answer = fetch(self.admin, "/purge", "POST", b'{"url": ["/a", "\\"b"]}')
        self.assertEqual(json.loads(answer.body)["detail"].count('"'), 3)
        self.assertIn("1 before it in the list is done", json.loads(answer.body)["detail"])

    def test_purges_are_counted(self):
        def purges():
            text = fetch(self.admin, "/metrics").body.decode()
            return int(text.partition("\nnuthatch_gateway_purges_total ")[2].split()[0])
        before = purges()
        fetch(self.admin, "/purge", "POST", b'{"tag": ["a", "b"]}')
        for _ in range(3):
            fetch(self.admin, "/purge", "POST", b'{"url": "/a"}')
        self.assertEqual(purges() - before, 5)

    def test_only_post_purges_and_no_page_of_a_browser_does(self):
        self.assertEqual(fetch(self.admin, "/purge").status, 405)
        for headers in ({"Origin": "http://evil.test"}, {"Host": "evil.test"}, {"Sec_Fetch_Site": "cross-site"}):
            answer = fetch(self.admin, "/purge", "POST", b'{"all": true}', **headers)
            self.assertEqual((headers, answer.status), (headers, 403))

    def test_without_a_gateway_there_is_nothing_to_purge(self):
        with Nuthatch("cache", "--memory", "64M", "--admin", "http://127.0.0.1:0") as server:
            admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
            self.assertEqual(fetch(admin, "/purge", "POST", b'{"all": true}').status, 404)


if __name__ == "__main__":
    unittest.main()
