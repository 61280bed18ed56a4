"""Ranges through the gateway: what a client gets of a stored answer, against a model that is written down plainly."""
import gzip, os, random, re, socket, threading, time, unittest

from harness import FREED_IS_GONE, Nuthatch, Origin, fetch

RANGES_MAX, POSITION_MAX = 8, 2**63 - 1


def model(value, size):
    """None: the whole. []: nothing of it is there. Else the ranges, first and last, in the order of asking."""
    match = re.fullmatch(r"bytes=(.*)", value, re.I | re.S)
    if match is None:
        return None
    specs = [spec.strip(" \t") for spec in match[1].split(",")]
    found, seen = [], False
    for spec in filter(None, specs):
        parts = re.fullmatch(r"([0-9]*)-([0-9]*)", spec)
        if parts is None or spec == "-":
            return None
        seen = True
        first, last = (min(int(part), POSITION_MAX) if part else None for part in parts.groups())
        if first is None:
            if size == 0:
                return None
            first, last = max(size - last, 0), size - 1
        elif last is not None and last < first:
            return None
        else:
            last = size - 1 if last is None else min(last, size - 1)
        if first > last:
            continue
        touching = [r for r in found if first <= r[1] + 1 and r[0] <= last + 1]
        place = found.index(touching[0]) if touching else len(found)
        while touching:
            first, last = min(first, *(r[0] for r in touching)), max(last, *(r[1] for r in touching))
            place = min(place, *(found.index(r) for r in touching))
            found = [r for r in found if r not in touching]
            touching = [r for r in found if first <= r[1] + 1 and r[0] <= last + 1]
        found.insert(place, (first, last))
        if len(found) > RANGES_MAX:
            return None
    return found if seen else None


def parts_of(answer):
    """The parts of a multipart/byteranges body: content range, type, bytes."""
    boundary = re.fullmatch(r"multipart/byteranges; boundary=([0-9a-f]+)", answer["Content-Type"])[1].encode()
    pieces = answer.body.split(b"\r\n--" + boundary)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n", answer.body
    for piece in pieces[1:-1]:
        head, _, body = piece.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        yield fields["Content-Range"], fields.get("Content-Type"), body


class Ranges(unittest.TestCase):
    def serve(self, answer, *arguments):
        origin = Origin(answer)
        self.addCleanup(origin.stop)
        server = Nuthatch("gateway", origin.url, "--memory", "64M", *arguments, listen="http://127.0.0.1:0",
                          environment=FREED_IS_GONE)
        self.addCleanup(lambda: self.assertEqual(server.stop(), 0))
        return origin, server

    def serve_bytes(self, size, *arguments, **headers):
        body = os.urandom(size)
        headers = {"Cache_Control": "max-age=60", "ETag": '"one"', "Content_Type": "text/x", **headers}
        origin, server = self.serve(lambda r: r.reply(200, body, **headers), *arguments)
        return body, origin, server

    def expect(self, answer, wanted, body, value):
        size = len(body)
        if wanted is None:
            self.assertEqual((answer.status, answer.body), (200, body), value)
        elif not wanted:
            self.assertEqual((answer.status, answer.body, answer["Content-Range"]), (416, b"", f"bytes */{size}"), value)
        elif len(wanted) == 1:
            first, last = wanted[0]
            self.assertEqual((answer.status, answer["Content-Range"]), (206, f"bytes {first}-{last}/{size}"), value)
            self.assertEqual(answer.body, body[first : last + 1], value)
        else:
            self.assertEqual((answer.status, answer["Content-Range"]), (206, None), value)
            self.assertEqual(list(parts_of(answer)), [(f"bytes {first}-{last}/{size}", "text/x", body[first : last + 1])
                                                      for first, last in wanted], value)

    def test_every_range_of_a_stored_answer_is_what_the_model_says(self):
        seed = random.randrange(2**32)
        chance = random.Random(seed)
        for size in (1000, 300_000):
            body, origin, server = self.serve_bytes(size)
            fetch(server.port, "/x")
            edges = (0, 1, 2, size - 1, size, size + 1, size // 2, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**30)

            def number():
                return chance.choice((chance.randrange(size), chance.choice(edges)))

            def spec():
                return chance.choice(("{0}-{1}", "{0}-{1}", "{0}-", "-{0}", "{0}-{0}")).format(*sorted((number(), number())))
            values = ["bytes=-9223372036854775608", "bytes=" + "0-," * 1000 + "0-", "bytes=5-4", "bytes=", "x=0-1",
                      "bytes=0-0,-1", "bytes= 0-1 , 4-5", f"bytes={size}-", "bytes=-0"]
            values += ["bytes=" + ",".join(spec() for _ in range(chance.choice((1, 1, 2, 3, 9)))) for _ in range(150)]
            for value in values:
                answer = fetch(server.port, "/x", Range=value)
                self.expect(answer, model(value, size), body, f"{value} (seed {seed})")
                self.assertIn("; hit", answer["Cache-Status"])
            self.assertEqual(origin.count(), 1)

    def test_of_an_empty_answer_there_is_no_range(self):
        body, origin, server = self.serve_bytes(0)
        for value in ("bytes=0-", "bytes=-1"):
            fetch(server.port, "/x")
            self.expect(fetch(server.port, "/x", Range=value), model(value, 0), body, value)

    def test_if_range_needs_the_same_bytes(self):
        modified, later = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
        cases = [  # the answer's ETag, If-Range, is it a part?
            ('"one"', '"one"', True), ('"one"', '"two"', False), ('"one"', 'W/"one"', False), ('W/"one"', 'W/"one"', False),
            ('"one"', modified, True), ('"one"', later, False), ('"one"', "yesterday", False), ('"one"', "", False)]
        for tag, if_range, is_part in cases:
            body, origin, server = self.serve_bytes(100, ETag=tag, Last_Modified=modified)
            fetch(server.port, "/x")
            answer = fetch(server.port, "/x", Range="bytes=0-9", If_Range=if_range)
            self.assertEqual(((tag, if_range), answer.status), ((tag, if_range), 206 if is_part else 200))
            self.assertEqual(origin.count(), 1)

    def test_a_condition_comes_before_the_range_and_head_has_none(self):
        body, origin, server = self.serve_bytes(100)
        fetch(server.port, "/x")
        self.assertEqual(fetch(server.port, "/x", Range="bytes=0-9", If_None_Match='"one"').status, 304)
        self.assertEqual(fetch(server.port, "/x", Range="bytes=0-9", If_None_Match='"two"').status, 206)
        head = fetch(server.port, "/x", "HEAD", Range="bytes=0-9")
        self.assertEqual((head.status, head["Content-Length"]), (200, "100"))

    def test_only_a_200_has_ranges(self):
        origin, server = self.serve(lambda r: r.reply(404, b"nothing here", Cache_Control="max-age=60"))
        for _ in range(2):
            answer = fetch(server.port, "/x", Range="bytes=0-1")
            self.assertEqual((answer.status, answer.body), (404, b"nothing here"))

    def test_an_origin_that_ignores_ranges_is_asked_once(self):
        body, origin, server = self.serve_bytes(500_000)
        for value in ("bytes=0-9", "bytes=-10", "bytes=400000-400009"):
            self.expect(fetch(server.port, "/x", Range=value), model(value, len(body)), body, value)
            time.sleep(0.5)  # the first is answered before the rest is there
        self.assertEqual(origin.count(), 1)

    def test_what_is_not_stored_is_passed_on_as_the_origin_said_it(self):
        body, origin, server = self.serve_bytes(100, Cache_Control="no-store")
        answer = fetch(server.port, "/x", Range="bytes=0-9")
        self.assertEqual((answer.status, answer.body), (200, body))

    def test_ranges_of_variants_are_their_own(self):
        def answer(request):
            language = request.headers["Accept-Language"]
            request.reply(200, language.encode() * 10, Cache_Control="max-age=60", Vary="Accept-Language", ETag=f'"{language}"')
        origin, server = self.serve(answer)
        for _ in range(2):
            for language in ("de", "fr"):
                got = fetch(server.port, "/x", Accept_Language=language, Range="bytes=2-3")
                self.assertEqual((got.status, got.body), (206, language.encode()))

    def test_what_we_compress_has_ranges_of_the_plain_bytes_only(self):
        body = b"".join(b"%07d\n" % i for i in range(20_000))
        origin, server = self.serve(lambda r: r.reply(200, body, Cache_Control="max-age=60", ETag='"one"',
                                                      Content_Type="text/plain"), "--compress", "yes")
        for _ in range(3):
            coded = fetch(server.port, "/x", Accept_Encoding="gzip")
            self.assertEqual((coded["Content-Encoding"], coded["ETag"]), ("gzip", 'W/"one"'))
            self.assertEqual(gzip.decompress(coded.body), body)
            part = fetch(server.port, "/x", Accept_Encoding="gzip", Range="bytes=100000-100099")
            self.assertEqual((part.status, part.body, part["Content-Encoding"]), (206, body[100000:100100], None))
            whole = fetch(server.port, "/x", Accept_Encoding="gzip", Range="bytes=0-9", If_Range='W/"one"')
            self.assertEqual((whole.status, whole.body), (200, body))
        self.assertEqual(origin.count(), 1)

    def test_several_ranges_of_a_large_answer_to_a_client_that_reads_slowly(self):
        body, origin, server = self.serve_bytes(8 << 20)
        fetch(server.port, "/x")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: bytes=1-3000000,4000000-7999999\r\n\r\n")
            time.sleep(1.5)  # longer than anything is lent
            received = b"".join(iter(lambda: client.recv(1 << 20), b""))
        head, _, rest = received.partition(b"\r\n\r\n")
        self.assertIn(b"Content-Length: %d" % len(rest), head)
        self.assertIn(b"\r\n\r\n" + body[1:3000001] + b"\r\n--", rest)
        self.assertIn(b"\r\n\r\n" + body[4000000:8000000] + b"\r\n--", rest)

    def test_a_range_of_a_large_answer_is_the_same_over_both_loops(self):
        for loop in ("uring", "epoll"):
            body, origin, server = self.serve_bytes(5 << 20, "--loop", loop)
            fetch(server.port, "/x")
            for first, last in ((0, 5 * 2**20 - 1), (1, 2**20), (2**20 - 1, 4 * 2**20 + 1), (5 * 2**20 - 40_000, 5 * 2**20 - 1)):
                answer = fetch(server.port, "/x", Range=f"bytes={first}-{last}")
                self.assertEqual((answer.status, answer.body == body[first : last + 1]), (206, True), (loop, first, last))

    def test_a_range_of_a_stale_answer_is_validated(self):
        body = os.urandom(50_000)

        def answer(request):
            if request.headers["If-None-Match"] == '"one"':
                return request.reply(304, ETag='"one"', Cache_Control="max-age=60")
            request.reply(200, body, Cache_Control="max-age=1", ETag='"one"')
        origin, server = self.serve(answer)
        fetch(server.port, "/x")
        time.sleep(1.1)
        for value in ("bytes=100-199", "bytes=-5"):
            self.expect(fetch(server.port, "/x", Range=value), model(value, len(body)), body, value)
        self.assertEqual(origin.count(), 2)

    def test_clients_that_do_not_read_keep_little_and_hold_up_nobody(self):
        body, origin, server = self.serve_bytes(8 << 20)
        fetch(server.port, "/x")
        before = server.resident_kib()
        sockets = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(100)]
        for s in sockets:
            s.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(1.5)  # what was lent is copied by now
        for i in range(20):
            self.assertEqual(fetch(server.port, f"/{i}").body == body, True)
        self.assertLess(server.resident_kib() - before, 100 * 600 + (64 << 10))
        for s in sockets:
            s.close()

    def test_the_whole_is_fetched_for_a_range_where_a_route_says_so(self):
        body = os.urandom(100_000)

        def answer(request):
            self.assertIsNone(request.headers["Range"])
            request.reply(200, body, Cache_Control="max-age=60")
        origin, server = self.serve(answer, "--range-whole", "yes")
        for value in ("bytes=5-9", "bytes=-5"):
            self.expect(fetch(server.port, "/x", Range=value), model(value, len(body)), body, value)
        self.assertEqual(origin.count(), 1)

    def serve_parts(self, body, *arguments, **headers):
        """An origin that knows of ranges; `body()` gives the bytes and the ETag of the moment."""
        headers = {"Cache_Control": "max-age=60", "Content_Type": "text/x", **headers}

        def answer(request):
            data, tag = body()
            fields = {**headers, **({"ETag": tag} if tag else {})}
            ranges = model(request.headers["Range"] or "", len(data))
            if not ranges or len(ranges) > 1:
                return request.reply(200, data, **fields)
            first, last = ranges[0]
            request.reply(206, data[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(data)}", **fields)
        return self.serve(answer, *arguments)

    def ask(self, server, value, **headers):
        answer = fetch(server.port, "/x", Range=value, **headers)
        return answer.status, answer.body, "; hit" in answer["Cache-Status"]

    def test_a_part_that_was_fetched_answers_what_lies_within_it(self):
        body = os.urandom(1000)
        for tag in ('"one"', 'W/"one"', None):
            origin, server = self.serve_parts(lambda: (body, tag))
            self.assertEqual(self.ask(server, "bytes=100-499"), (206, body[100:500], False))
            for first, last in ((100, 499), (200, 200), (100, 100), (499, 499), (300, 498)):
                self.assertEqual(self.ask(server, f"bytes={first}-{last}"), (206, body[first : last + 1], True))
            self.assertEqual(origin.count(), 1)
            for first, last in ((99, 100), (499, 500), (0, 999)):
                self.assertEqual(self.ask(server, f"bytes={first}-{last}"), (206, body[first : last + 1], False))

    def test_parts_with_a_strong_etag_become_the_whole(self):
        body = os.urandom(1000)
        origin, server = self.serve_parts(lambda: (body, '"one"'))
        for value in ("bytes=0-299", "bytes=700-", "bytes=250-449"):
            self.assertFalse(self.ask(server, value)[2], value)
        self.assertEqual(self.ask(server, "bytes=0-449"), (206, body[:450], True))
        self.assertEqual(self.ask(server, "bytes=-300"), (206, body[700:], True))
        self.assertFalse(self.ask(server, "bytes=440-720")[2])
        whole = fetch(server.port, "/x")
        self.assertEqual((whole.status, whole.body, whole["Content-Range"], whole["Content-Type"]), (200, body, None, "text/x"))
        self.assertIn("; hit", whole["Cache-Status"])
        self.assertEqual(origin.count(), 4)

    def serve_named_parts(self, name, value, *arguments):
        """Parts that carry the field, but for those that answer If-Range and so say least (RFC 9110 §15.3.7)."""
        body = os.urandom(1000)

        def answer(request):
            if request.command == "POST":
                return request.reply(200, b"", Cache_Group_Invalidation=value)
            ranges = model(request.headers["Range"] or "", len(body))
            if not ranges:
                return request.reply(200, b"new", Cache_Control="max-age=60")
            first, last = ranges[0]
            more = {} if "If-Range" in request.headers else {"Content_Type": "text/x", name: value}
            request.reply(206, body[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(body)}", ETag='"one"',
                          Cache_Control="max-age=60", **more)
        return body, *self.serve(answer, *arguments)

    def test_parts_that_are_put_together_are_in_the_groups_of_each(self):
        for last in ("999", "700"):  # the whole, and parts of it
            body, origin, server = self.serve_named_parts("Cache_Groups", '"g"')
            self.assertEqual(self.ask(server, "bytes=0-599")[0], 206)
            self.assertEqual(self.ask(server, f"bytes=600-{last}", If_Range='"one"')[0], 206)
            self.assertEqual(self.ask(server, "bytes=0-600"), (206, body[:601], True))
            self.assertEqual(fetch(server.port, "/other", "POST", b"x").status, 200)
            self.assertEqual(self.ask(server, "bytes=0-600"), (206, body[:601], False))

    def test_parts_with_other_tags_are_not_put_together(self):
        body, origin, server = self.serve_named_parts("Surrogate_Key", "a b", "--admin", "http://127.0.0.1:0")
        admin = int(server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])
        self.assertEqual(self.ask(server, "bytes=0-599")[0], 206)
        self.assertEqual(self.ask(server, "bytes=600-999", If_Range='"one"')[0], 206)
        self.assertEqual(self.ask(server, "bytes=0-599"), (206, body[:600], True))
        self.assertEqual(self.ask(server, "bytes=600-999"), (206, body[600:], False))
        whole = fetch(server.port, "/x")
        self.assertEqual((whole.status, whole.body, whole["Content-Type"], whole["Surrogate-Key"]),
                         (200, body, "text/x", None))
        self.assertEqual(fetch(admin, "/purge", "POST", b'{"tag": "b"}').status, 200)
        self.assertEqual(self.ask(server, "bytes=0-599"), (206, body[:600], False))
        self.assertEqual(fetch(server.port, "/x").body, b"new")

    def test_parts_without_a_strong_etag_are_not_combined(self):
        body = os.urandom(1000)
        for tag in ('W/"one"', None):
            origin, server = self.serve_parts(lambda: (body, tag))
            self.ask(server, "bytes=0-499")
            self.ask(server, "bytes=500-999")
            self.assertEqual(self.ask(server, "bytes=600-700"), (206, body[600:701], True))
            self.assertEqual(self.ask(server, "bytes=400-600"), (206, body[400:601], False))
            self.assertIn("fwd=uri-miss", fetch(server.port, "/x")["Cache-Status"])

    def test_bytes_of_two_versions_are_never_in_one_answer(self):
        seed = random.randrange(2**32)
        chance, version = random.Random(seed), [0]
        body = bytearray(5000)
        origin, server = self.serve_parts(lambda: (bytes(body), f'"{version[0]}"'), "--object-max", "4k")
        whole = 0
        for _ in range(700):
            if chance.random() < 0.03:
                version[0] += 1
                body[:] = bytes([version[0] % 256]) * chance.choice((3000, 3000, 5000))
            first = chance.randrange(len(body))
            value = f"bytes={first}-{first + chance.choice((0, 10, 300, 2000, 5000))}"
            answer = fetch(server.port, "/x", **({"Range": value} if chance.random() < 0.9 else {}))
            self.assertIn(answer.status, (200, 206, 416))
            seen = set(answer.body)
            self.assertLessEqual(len(seen), 1, f"seed {seed}")
            if answer.status == 206:
                found, last, size = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer["Content-Range"]).groups())
                self.assertEqual((found, last), (first, min(first + int(value.split("-")[1]) - first, size - 1)), f"seed {seed}")
                self.assertEqual(len(answer.body), last + 1 - found)
            whole += answer.status == 206 and "; hit" in answer["Cache-Status"]
        self.assertGreater(whole, 20)

    def test_a_part_is_kept_only_where_the_whole_would_be(self):
        body = os.urandom(1000)
        cases = [({"Cache_Control": "no-store"}, {}), ({"Cache_Control": "private, max-age=60"}, {}),
                 ({"Set_Cookie": "a=b"}, {}), ({"Vary": "*"}, {}), ({}, {"Authorization": "me"}),
                 ({}, {"If_Range": '"one"'}),  # such an answer may lack fields
                 ({}, {"Cache_Control": "no-store"})]
        for fields, headers in cases:
            origin, server = self.serve_parts(lambda: (body, '"one"'), **fields)
            for _ in range(2):
                self.assertEqual(((fields, headers), self.ask(server, "bytes=0-9", **headers)),
                                 ((fields, headers), (206, body[:10], False)))

    def ask_together(self, server, values):
        """All at once; the answers in order."""
        sockets = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in values]
        for s, value in zip(sockets, values):
            s.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nRange: %s\r\n\r\n" % value.encode())
        yield
        for s in sockets:
            received = b"".join(iter(lambda: s.recv(1 << 20), b""))
            s.close()
            yield received.split(b"\r\n\r\n", 1)

    def test_clients_that_want_the_same_part_wait_for_one_request(self):
        body, release = os.urandom(1000), threading.Event()
        values = ["bytes=0-9", "bytes=10-19", "bytes=-5"] * 20
        for knows_ranges, control, requests in ((True, "max-age=60", 3), (False, "max-age=60", 3), (True, "no-store", 60)):
            def answer(request):
                release.wait(20)
                first, last = model(request.headers["Range"], 1000)[0] if knows_ranges else (0, 999)
                extra = {"Content_Range": f"bytes {first}-{last}/1000"} if knows_ranges else {}
                request.reply(206 if knows_ranges else 200, body[first : last + 1], Cache_Control=control, ETag='"one"', **extra)
            release.clear()
            origin, server = self.serve(answer)
            answers = self.ask_together(server, values)
            next(answers)
            time.sleep(0.3)
            release.set()
            for value, (head, got) in zip(values, answers):
                first, last = model(value, 1000)[0]
                self.assertEqual((head[:12], got), (b"HTTP/1.1 206", body[first : last + 1]), (value, knows_ranges))
            self.assertEqual(origin.count(), requests)

    def test_parts_of_variants_are_not_mixed(self):
        def answer(request):
            language = request.headers["Accept-Language"]
            request.reply(206, language.encode() * 5, Cache_Control="max-age=60", Vary="Accept-Language", ETag='"one"',
                          Content_Range="bytes 0-9/20")
        origin, server = self.serve(answer)
        for language in ("de", "de", "fr", "fr", "de"):
            self.assertEqual(self.ask(server, "bytes=0-9", Accept_Language=language)[1], language.encode() * 5)
        self.assertEqual(origin.count(), 3)

    def test_a_part_that_is_not_what_it_says_is_not_kept(self):
        for range_said, length in (("bytes 0-9/20", 9), ("bytes 0-9/20", 11), ("bytes 0-9/*", 10), ("bytes 5-9/5", 5)):
            origin, server = self.serve(lambda r: r.reply(206, b"x" * length, Cache_Control="max-age=60", ETag='"one"',
                                                          Content_Range=range_said))
            for count in (1, 2):
                self.ask(server, "bytes=0-9")
                self.assertEqual(origin.count(), count)

    def test_a_part_cut_short_is_not_kept(self):
        def answer(request):
            request.send_response(206)
            request.send_header("Cache-Control", "max-age=60")
            request.send_header("Content-Range", "bytes 0-9/20")
            request.send_header("ETag", '"one"')
            request.send_header("Content-Length", "10")
            request.end_headers()
            request.wfile.write(b"12345")
            request.close_connection = True
        origin, server = self.serve(answer)
        for count in (1, 2):
            with self.assertRaises(Exception):
                self.ask(server, "bytes=0-9")
            self.assertEqual(origin.count(), count)

    def test_a_write_drops_the_parts(self):
        body = os.urandom(1000)
        origin, server = self.serve_parts(lambda: (body, '"one"'))
        self.ask(server, "bytes=0-9")
        fetch(server.port, "/x", "POST", b"new")
        self.assertEqual(self.ask(server, "bytes=0-9"), (206, body[:10], False))

    def test_parts_age_and_are_asked_for_again(self):
        body = os.urandom(1000)
        origin, server = self.serve_parts(lambda: (body, '"one"'), Cache_Control="max-age=1")
        self.ask(server, "bytes=0-9")
        self.assertTrue(self.ask(server, "bytes=0-9")[2])
        time.sleep(1.1)
        self.assertFalse(self.ask(server, "bytes=0-9")[2])
        self.assertEqual(self.ask(server, "bytes=0-9", Cache_Control="no-cache"), (206, body[:10], False))

    def test_a_range_of_what_is_on_its_way_comes_as_soon_as_it_can(self):
        go_on = threading.Event()

        def answer(request):
            request.send_response(200)
            request.send_header("Cache-Control", "max-age=60")
            request.send_header("Content-Length", "20")
            request.end_headers()
            request.wfile.write(b"0123456789")
            request.wfile.flush()
            go_on.wait(20)
            request.wfile.write(b"abcdefghij")
        origin, server = self.serve(answer, "--range-whole", "yes")
        self.addCleanup(go_on.set)
        answer = fetch(server.port, "/x", Range="bytes=2-4")  # before the rest is there
        self.assertEqual((answer.status, answer.body, answer["Content-Range"]), (206, b"234", "bytes 2-4/20"))
        go_on.set()
        answer = fetch(server.port, "/x", Range="bytes=8-11")
        self.assertEqual((answer.status, answer.body), (206, b"89ab"))
        self.assertEqual(origin.count(), 1)


if __name__ == "__main__":
    unittest.main()
