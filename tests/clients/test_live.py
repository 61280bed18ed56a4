"""Resources that are watched: Server-Sent Events over HTTP/1.1 and HTTP/2, long polling, what is left when all have gone."""
import json, re, shutil, socket, subprocess, threading, time, unittest

from harness import Nuthatch, Origin, fetch

PATIENCE_S = 30


class Changing:
    """An origin whose one resource is what `state` says; 304 where the client has it. Of `others` a path has a body or a status."""

    def __init__(self):
        self.others = {}
        self.state, self.version, self.times = {"count": 0, "name": "a name that is long enough for a patch"}, 1, []

    def change(self, **members):
        self.state, self.version = {**self.state, **members}, self.version + 1

    def __call__(self, request):
        self.times.append(time.time())
        tag = f'"{self.version}"'
        other = self.others.get(request.path, 404)
        if request.path != "/state" and isinstance(other, int):
            request.reply(other)
        elif request.path != "/state":
            request.reply(200, other, Cache_Control="max-age=0")
        elif request.headers["If-None-Match"] == tag:
            request.reply(304, ETag=tag, Cache_Control="max-age=0")
        else:
            request.reply(200, json.dumps(self.state).encode(), ETag=tag, Cache_Control="max-age=0",
                          Content_Type="application/json")


class Stream:
    """One who watches: its events as (type, id, data), as they come, in a thread of its own."""

    def __init__(self, port, path="/state", **headers):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.head, self.events, self.has_ended = "", [], False
        self.changed = threading.Condition()
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode())
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            stream = self.socket.makefile("rb")
            head = []
            while (line := stream.readline()) not in (b"\r\n", b""):
                head.append(line.decode())
            with self.changed:
                self.head = "".join(head)
                self.changed.notify_all()
            text = b""
            while (size := stream.readline()).strip() not in (b"0", b""):
                text += stream.read(int(size, 16))
                stream.readline()
                while b"\n\n" in text:
                    block, text = text.split(b"\n\n", 1)
                    self.take(block.decode())
        except (OSError, ValueError):
            pass
        self.socket.close()
        with self.changed:
            self.has_ended = True
            self.changed.notify_all()

    def take(self, block):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            with self.changed:
                self.events.append((fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])))
                self.changed.notify_all()

    def wait_for(self, holds):
        with self.changed:
            if not self.changed.wait_for(lambda: holds(self), PATIENCE_S):
                raise AssertionError(f"it did not come about: {self.head} {self.events}")
        return self

    def wait_for_count(self, count):
        return self.wait_for(lambda s: any(e[2].get("count") == count for e in s.events))

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended
        self.thread.join()


class Watching(unittest.TestCase):
    def serve(self, *arguments, interval="100ms"):
        self.changing = Changing()
        self.origin = Origin(self.changing)
        self.addCleanup(self.origin.stop)
        self.server = Nuthatch("gateway", self.origin.url, "--live", "yes", "--live-interval", interval, "--memory", "64M",
                               "--threads", "2", "--admin", "http://127.0.0.1:0", *arguments, listen="http://127.0.0.1:0")
        self.addCleanup(lambda: self.assertEqual(self.server.stop(), 0))
        self.admin = int(self.server.wait_for(r"admin ready on http://127.0.0.1:(\d+)\n")[0])

    def watch(self, path="/state", **headers):
        stream = Stream(self.server.port, path, **({"Accept": "text/event-stream"} if path == "/state" else {}), **headers)
        self.addCleanup(lambda: stream.has_ended or stream.close())
        return stream

    def metric(self, name):
        return int(re.search(rf"(?m)^nuthatch_{name}(?:_total)? (\d+)", fetch(self.admin, "/metrics").body.decode()).group(1))

    def test_all_who_watch_hear_of_each_change_and_the_origin_is_asked_once_an_interval(self):
        self.serve()
        began = time.time()
        streams = [self.watch() for _ in range(100)]
        for stream in streams:
            stream.wait_for_count(0)
        self.assertIn("text/event-stream", streams[0].head)
        for count in range(1, 6):
            self.changing.change(count=count)
            for stream in streams:
                stream.wait_for_count(count)
        lasted = time.time() - began
        for stream in streams:
            counts = [event[2]["count"] for event in stream.events]
            self.assertEqual(counts, sorted(set(counts)))  # each once, in order
            self.assertEqual(len({event[1] for event in stream.events}), len(counts))
        self.assertLessEqual(self.origin.count("/state"), lasted / 0.09 + 6)
        for stream in streams:
            stream.close()
        end = time.time() + PATIENCE_S
        while self.metric("live_watchers_gone") < 100:
            self.assertLess(time.time(), end)
            time.sleep(0.05)
        self.assertLess(time.time(), end - PATIENCE_S + 12)  # at once, not when the next comment is due
        time.sleep(0.2)
        asked = self.origin.count("/state")
        time.sleep(0.5)
        self.assertEqual(self.origin.count("/state"), asked)  # nobody watches

    def test_who_comes_back_goes_on_where_it_was(self):
        self.serve()
        witness, stream = self.watch(), self.watch()
        stream.wait_for_count(0)
        stream.close()
        last = stream.events[-1][1]
        for count in (1, 2, 3):
            self.changing.change(count=count)
            witness.wait_for_count(count)
        back = self.watch(Last_Event_ID=last).wait_for_count(3)
        self.assertEqual([event[2]["count"] for event in back.events], [1, 2, 3])
        self.assertEqual([event[1] for event in back.events], [event[1] for event in witness.events[1:]])
        other = self.watch(Last_Event_ID="0123456789abcdef-7").wait_for_count(3)
        self.assertEqual([event[2]["count"] for event in other.events], [3])

    def test_patches_make_of_each_state_the_next(self):
        self.serve()
        stream, plain = self.watch("/_live-patch/state"), self.watch("/_live/state")
        stream.wait_for_count(0)
        plain.wait_for_count(0)
        for count in (1, 2):
            self.changing.change(count=count)
            plain.wait_for_count(count)
            stream.wait_for_count(count)
        self.assertEqual([(event[0], event[2]) for event in stream.events[1:]],
                         [("patch", {"count": 1}), ("patch", {"count": 2})])
        self.assertEqual(plain.events[-1][2], self.changing.state)

    @unittest.skipUnless(shutil.which("curl"), "no curl")
    def test_http2_has_streams_too_and_a_stop_ends_them(self):
        self.serve()
        curl = subprocess.Popen(["curl", "-sN", "--http2-prior-knowledge", "-H", "Accept: text/event-stream",
                                 f"http://127.0.0.1:{self.server.port}/state"], stdout=subprocess.PIPE, text=True)
        other = self.watch().wait_for_count(0)
        said = []
        while not said or '"count": 0' not in said[-1]:
            said.append(curl.stdout.readline())
        self.changing.change(count=1)
        while '"count": 1' not in said[-1]:
            said.append(curl.stdout.readline())
        began = time.time()
        self.assertEqual(self.server.stop(), 0)
        self.assertLess(time.time() - began, PATIENCE_S / 2)
        self.assertEqual(curl.wait(PATIENCE_S), 0)  # its stream was ended, not cut
        curl.stdout.close()
        other.wait_for(lambda s: s.has_ended)

    def test_long_polling_is_answered_by_a_change_or_in_the_end(self):
        self.serve()
        tag = fetch(self.server.port, "/state")["ETag"]
        late = fetch(self.server.port, "/state", If_None_Match=tag, Prefer="wait=1")
        self.assertEqual(late.status, 304)
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(
            fetch(self.server.port, "/state", If_None_Match=tag, Prefer="wait=60"))) for _ in range(10)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        self.assertEqual(answers, [])
        self.changing.change(count=9)
        for thread in threads:
            thread.join(PATIENCE_S)
        self.assertEqual([(answer.status, json.loads(answer.body)["count"], answer["Preference-Applied"]) for answer in answers],
                         [(200, 9, "wait")] * 10)

    def test_what_cannot_be_watched_is_said_to_be_so(self):
        self.serve()
        self.assertEqual(fetch(self.server.port, "/nothing", Accept="text/event-stream").status, 404)
        refusal = fetch(self.server.port, "/state", Accept="text/event-stream", Authorization="me")
        self.assertEqual((refusal.status, refusal["Content-Type"]), (403, "application/problem+json"))
        self.assertIn(b"Authorization", refusal.body)


if __name__ == "__main__":
    unittest.main()
