"""Values over plain HTTP, as a program without a client library would read and write them."""
import http.client, os, subprocess, threading, unittest

import redis

from harness import BINARY, Nuthatch

MIB = 1 << 20


class KvHttp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Nuthatch("cache", "--memory", "64M", "--value-max", "8M", "--threads", "2",
                              listen=("kv+http://127.0.0.1:0", "tcp://127.0.0.1:0"))
        cls.redis = redis.Redis(port=cls.server.ports[1])

    @classmethod
    def tearDownClass(cls):
        cls.redis.close()
        assert cls.server.stop() == 0

    def setUp(self):
        self.redis.flushall()
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)

    def tearDown(self):
        self.connection.close()

    def ask(self, method, path, body=None, connection=None, **headers):
        connection = connection or self.connection
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.bytes = answer.read()
        return answer

    def status(self, *arguments, **headers):
        return self.ask(*arguments, **headers).status

    def test_one_value_whatever_speaks(self):
        put = self.ask("PUT", "/keys/user%3A1", b"ada", Nuthatch_TTL="60", Nuthatch_Flags="7")
        self.assertEqual((put.status, put.bytes), (201, b""))
        self.assertEqual(self.redis.get("user:1"), b"ada")
        self.assertTrue(59000 < self.redis.pttl("user:1") <= 60000)
        got = self.ask("GET", "/keys/user:1")
        self.assertEqual((got.status, got.bytes), (200, b"ada"))
        self.assertEqual(got.headers["ETag"], put.headers["ETag"])
        self.assertEqual(got.headers["Nuthatch-Flags"], "7")
        self.assertEqual(got.headers["Nuthatch-State"], "hit")
        self.assertTrue(59 < float(got.headers["Nuthatch-TTL"]) <= 60)
        self.assertEqual(got.headers["Content-Type"], "application/octet-stream")
        self.assertEqual(self.status("PUT", "/keys/user:1", b"eve"), 204)
        self.assertNotIn("Nuthatch-TTL", self.ask("GET", "/keys/user:1").headers)
        self.redis.set("user:1", "bob")
        self.assertEqual(self.ask("GET", "/keys/user:1").bytes, b"bob")
        self.assertEqual(self.status("DELETE", "/keys/user:1"), 204)
        self.assertEqual(self.redis.exists("user:1"), 0)
        for method in "GET", "HEAD", "DELETE":
            self.assertEqual(self.status(method, "/keys/user:1"), 404)

    def test_any_byte_may_be_in_a_name_and_in_a_value(self):
        value = bytes(range(256))
        self.assertEqual(self.status("PUT", "/keys/%00%ff%2F/%25", value), 201)
        self.assertEqual(self.redis.get(b"\x00\xff//%"), value)
        self.assertEqual(self.ask("GET", "/keys/%00%FF/%2f%25").bytes, value)
        self.assertEqual(self.status("PUT", "/keys/empty", b""), 201)
        self.assertEqual(self.redis.get("empty"), b"")
        self.assertEqual(self.ask("GET", "/keys/empty").bytes, b"")

    def test_databases_are_apart(self):
        self.assertEqual(self.status("PUT", "/keys/k?db=3", b"three"), 201)
        self.assertEqual(self.status("GET", "/keys/k"), 404)
        self.assertEqual(self.ask("GET", "/keys/k?db=3").bytes, b"three")
        for query in "db=16", "db=-1", "db=", "ttl=1", "db=1&db=2":
            self.assertEqual(self.status("GET", "/keys/k?" + query), 400, query)

    def test_times_to_live(self):
        self.assertEqual(self.status("PUT", "/keys/k", b"v", Cache_Control="public, max-age=30"), 201)
        self.assertTrue(29000 < self.redis.pttl("k") <= 30000)
        self.assertEqual(self.status("PUT", "/keys/k", b"v", Cache_Control="max-age=30", Nuthatch_TTL="0.25"), 204)
        self.assertTrue(0 <= self.redis.pttl("k") <= 250)
        for wrong in "0", "-1", "x", "1.0001", ".5", "":
            self.assertEqual(self.status("PUT", "/keys/k", b"v", Nuthatch_TTL=wrong), 400, wrong)
        self.assertEqual(self.status("PUT", "/keys/k", b"v", Nuthatch_Flags="4294967296"), 400)

    def test_conditions(self):
        self.assertEqual(self.status("PUT", "/keys/k", b"1", If_Match="*"), 412)
        first = self.ask("PUT", "/keys/k", b"1", If_None_Match="*")
        self.assertEqual(first.status, 201)
        self.assertEqual(self.status("PUT", "/keys/k", b"2", If_None_Match="*"), 412)
        old = first.headers["ETag"]
        new = self.ask("PUT", "/keys/k", b"2", If_Match='"none", ' + old).headers["ETag"]
        self.assertNotEqual(new, old)
        self.assertEqual(self.status("PUT", "/keys/k", b"3", If_Match=old), 412)
        self.assertEqual(self.status("PUT", "/keys/k", b"3", If_Match="W/" + new), 412)
        self.assertEqual(self.status("DELETE", "/keys/k", If_Match=old), 412)
        self.assertEqual(self.ask("GET", "/keys/k", If_Match=new).bytes, b"2")
        self.assertEqual(self.status("GET", "/keys/k", If_Match=old), 412)
        unchanged = self.ask("GET", "/keys/k", If_None_Match="W/" + new)
        self.assertEqual((unchanged.status, unchanged.bytes, unchanged.headers["ETag"]), (304, b"", new))
        self.assertEqual(self.ask("GET", "/keys/k", If_None_Match=old).bytes, b"2")
        self.assertEqual(self.status("HEAD", "/keys/k", If_None_Match="*"), 304)
        self.assertEqual(self.status("DELETE", "/keys/k", If_Match=new), 204)

    def test_ranges(self):
        value = os.urandom(3 * MIB)  # lies in several pieces
        etag = self.ask("PUT", "/keys/k", value).headers["ETag"]
        self.assertEqual(self.ask("GET", "/keys/k").bytes, value)
        for text, first, end in (("0-0", 0, 1), ("1048570-2097160", 1048570, 2097161), ("3000000-", 3000000, 3 * MIB),
                                 ("-5", 3 * MIB - 5, 3 * MIB), ("-99999999", 0, 3 * MIB), ("5-99999999", 5, 3 * MIB)):
            part = self.ask("GET", "/keys/k", Range="bytes=" + text)
            self.assertEqual((part.status, part.headers["Content-Range"]),
                             (206, f"bytes {first}-{end - 1}/{3 * MIB}"))
            self.assertEqual(part.bytes, value[first:end])
        outside = self.ask("GET", "/keys/k", Range=f"bytes={3 * MIB}-")
        self.assertEqual((outside.status, outside.headers["Content-Range"]), (416, f"bytes */{3 * MIB}"))
        for text in "bytes=5-4", "bytes=0-1,4-5", "bytes=", "bytes=-", "bytes=a-b", "items=0-1":
            self.assertEqual(self.status("GET", "/keys/k", Range=text), 200, text)
        self.assertEqual(self.status("GET", "/keys/k", Range="bytes=0-1", If_Range=etag), 206)
        self.assertEqual(self.status("GET", "/keys/k", Range="bytes=0-1", If_Range='"other"'), 200)
        self.assertEqual(self.status("PUT", "/keys/k", b"v", Content_Range="bytes 0-0/3"), 400)

    def test_a_value_that_is_too_large_is_refused_and_the_old_one_stays(self):
        self.assertEqual(self.status("PUT", "/keys/k", b"old"), 201)
        self.assertEqual(self.status("PUT", "/keys/k", b"x" * (8 * MIB)), 204)
        self.redis.set("k", "old")
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        connection.putrequest("PUT", "/keys/k")
        connection.putheader("Content-Length", str(8 * MIB + 1))
        connection.endheaders()
        self.assertEqual(connection.getresponse().status, 413)
        connection.close()

        def pieces():
            for _ in range(9):
                yield b"x" * MIB
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        try:
            connection.request("PUT", "/keys/k", pieces(), encode_chunked=True,
                               headers={"Transfer-Encoding": "chunked"})
            self.assertEqual(connection.getresponse().status, 413)
        except (ConnectionError, BrokenPipeError):
            pass  # the answer may be lost behind what was still being sent
        connection.close()
        self.assertEqual(self.redis.get("k"), b"old")

    def test_pages_of_others_are_no_clients(self):
        host = f"127.0.0.1:{self.server.port}"
        self.redis.set("k", "secret")
        for headers, status in (({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
                                ({"Origin": "https://127.0.0.1:1"}, 403), ({"Origin": f"http://{host}"}, 200),
                                ({"Origin": f"https://{host}"}, 200),  # a port is one server, whatever it speaks
                                ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403),
                                ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Sec-Fetch-Site": "none"}, 200),
                                ({"Host": "evil.example"}, 403), ({"Host": f"127.0.0.1.evil.example:{self.server.port}"}, 403),
                                ({"Host": "127.evil.example"}, 403), ({"Host": "localhost"}, 200),
                                ({"Host": "[::1]:80"}, 200), ({"Host": "127.0.0.2"}, 200)):
            self.assertEqual(self.ask("GET", "/keys/k", **headers).status, status, headers)
            self.assertNotIn("Access-Control-Allow-Origin", self.ask("GET", "/keys/k", **headers).headers)

    def test_other_methods_and_pages(self):
        for method in "POST", "PATCH", "OPTIONS", "FOO":
            answer = self.ask(method, "/keys/k")
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD, PUT, DELETE"))
            self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        for path, status in (("/", 404), ("/keys", 404), ("/keys/", 400), ("/keys/%", 400), ("/keys/%4", 400),
                             ("/keys/%zz", 400), ("/other/k", 404)):
            self.assertEqual(self.status("GET", path), status, path)

    def test_of_many_who_put_at_one_version_one_wins(self):
        """Each adds one to a number with If-Match and tries again when it came too late: none is lost."""
        self.redis.set("n", "0")
        lost = []

        def add():
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            for _ in range(50):
                while True:
                    got = self.ask("GET", "/keys/n", connection=connection)
                    put = self.ask("PUT", "/keys/n", str(int(got.bytes) + 1).encode(), connection=connection,
                                   If_Match=got.headers["ETag"])
                    if put.status == 204:
                        break
                    if put.status != 412:
                        lost.append(put.status)
                        return
            connection.close()
        threads = [threading.Thread(target=add) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(lost, [])
        self.assertEqual(self.redis.get("n"), b"300")

    def test_curl(self):
        url = f"http://127.0.0.1:{self.server.port}/keys/curl"
        subprocess.run(["curl", "-sSf", "-T", "-", url], input=b"from a pipe", check=True)
        self.assertEqual(subprocess.run(["curl", "-sSf", url], check=True, stdout=subprocess.PIPE).stdout, b"from a pipe")


class Token(unittest.TestCase):
    def test_beyond_loopback_a_token_is_needed(self):
        for address in "0.0.0.0:0", "[::]:0", "0:0":
            refused = subprocess.run([BINARY, "cache", "--listen", "kv+http://" + address], stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, timeout=30)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(b"can be reached from other machines; set http-token", refused.stdout, address)

    def test_who_bears_the_token_may(self):
        with Nuthatch("cache", "--http-token", "s3cret", "--memory", "16M", listen="kv+http://0.0.0.0:0") as server:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)

            def status(**headers):
                connection.request("PUT", "/keys/k", b"v", headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 401:
                    self.assertEqual(answer.headers["WWW-Authenticate"], 'Bearer realm="nuthatch"')
                return answer.status
            self.assertEqual(status(), 401)
            for wrong in "Bearer s3creT", "Bearer s3cre", "Bearer s3crett", "Bearer", "Basic s3cret", "s3cret":
                self.assertEqual(status(Authorization=wrong), 401, wrong)
            self.assertEqual(status(Authorization="Bearer s3cret"), 201)
            self.assertEqual(status(Authorization="bearer s3cret", Host="cache.example"), 204)
            self.assertEqual(status(Authorization="Bearer s3cret", Origin="http://evil.example"), 403)
            connection.close()


if __name__ == "__main__":
    unittest.main()
