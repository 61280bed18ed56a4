"""Random HTTP/1.1, said to nuthatch in front of an origin, and to node (llhttp) and h11: nobody understands another message.

    test_http_differential.py [--seed N] [--seconds N] [--requests | --responses]

Requests are whole ones with mistakes in them, several on one connection, framing above all. What reaches the origin must be what
the others understand: as many requests, with the same methods, targets, fields and bodies. Responses of the origin are the same
from the other end: what a client gets for whole must be what the others read. What nuthatch refuses and they take is its right,
and counted. What it takes and they refuse is a difference, but for what ALLOWED has.
"""
import argparse, json, random, re, socket, subprocess, sys, threading, time
from collections import Counter

import h11

from harness import Nuthatch, PATIENCE_S, raw

DIFFERENCES_MAX = 8  # then it is enough

# What nuthatch takes and another refuses: of which messages, who, what it says ("body: " once the head was well), what the bytes are
# like, and why that is no harm. Responses are read by libcurl, which is more lenient than we are with requests; what it read is said
# anew, so that no client has to guess.
ALLOWED = [
    ("request", "node", "HPE_INVALID_METHOD", rb"", "llhttp knows the methods of its list alone; RFC 9110 §9.1 has any token"),
    ("request", "h11", "^no request line received", rb"", "an empty line before a request, RFC 9112 §2.2"),
    ("both", "both", "^body: .*(content.length|transfer.encoding)", rb"(?i)chunked", "a framing field among trailers, which are dropped"),
    ("response", "both", "^body: (continuation line|illegal header line|illegal chunk header|malformed chunk footer|HPE_)", rb"(?i)chunked",
     "lines around chunks, and trailers, that libcurl reads leniently"),
    ("response", "both", "^(conflicting Content-Length|HPE_UNEXPECTED_CONTENT_LENGTH)", rb"(?is)^(?!.*transfer-encoding).*content-length.*content-length",
     "several lengths that are one number, RFC 9110 §8.6"),
]


# ---- mistakes -----------------------------------------------------------------------------------

LENGTHS = [b"5", b"0", b"1", b"+5", b"-5", b"05", b"5,5", b"5, 5", b"5,6", b"0x5", b"5 5", b"", b"5;", b"5.0", b"1e1", b"\x0b5",
           b"99999999999999999999", b"18446744073709551621", b"5\x00", b"\xb25", b"_5", b"5_0"]
CODINGS = [b"chunked", b"Chunked", b"chunked,", b",chunked", b"chunked, chunked", b"identity", b"chunked, identity", b"identity, chunked",
           b"gzip, chunked", b"x", b"chunked;q=1", b"\x0bchunked", b"chunked\x0b", b'"chunked"', b"chunked x", b"", b"gzip", b"chun\tked"]
SIZES = [b"5", b"05", b"5;a=b", b'5;a="b;c"', b"5 ", b" 5", b"5\t;x", b"5;", b"5;\x00", b"0x5", b"+5", b"-5", b"", b"g", b"5 5", b"FFFFFFFFFFFFFFFFF",
         b"5;a\nb", b"5\r", b"00000000000000000005", b"5_", b"5,"]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b" \r\n", b"\r\n ", b"\r\n\t", b"\x00\r\n", b"\r\n\r\n"]
BYTES = [bytes([c]) for c in b"\r\n\0 \t:,;\x0b\x0c\x7f\x80\xff+-0x\"#%?/\\[]{}|^`<>@=A\x1f\x85\xa0"] + [b"\r\n", b"\r\n ", b"\n\n", b": ", b"0\r\n\r\n"]
METHODS = [b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD", b"OPTIONS", b"get", b"M-SEARCH", b"PROPFIND", b"FROB", b"CONNECT", b"TRACE"]
TARGETS = [b"/a", b"/a?b=c", b"/", b"//a", b"/a/../b", b"/%2e%2e/", b"/a?", b"/?q[a]={1|2}^`\\", b"/%", b"/a#b", b"http://a/x", b"http://a",
           b"http://a?q", b"http://b/", b"*", b"a", b"/\xe4", b"/a\x00", b"/a b", b"/a\tb", b"https://a:443/", b"http://u@a/", b"/;p=1", b"/a\"b"]
HOSTS = [b"", b"a:80", b"b", b"a b", b"a,b", b"a/", b"[::1]", b"u@a", b"a:x"]
FIELDS = [b"X-A: 1", b"X-B:", b"X-C:\t2 \t", b"X-D : 3", b"X-E: a\tb", b"X-F: \xe4\xff", b"X-G: a\x00b", b"X-H", b": x", b" X-I: folded", b"\tfolded",
          b"X-J: a\rb", b"X_K: 1", b"X-L: a:b", b"Connection: close", b"Connection: keep-alive", b"Connection: X-A", b"Connection: Content-Length",
          b"Expect: 100-continue", b"X-M: \x7f", b"Content-Type: a/b", b"X-N\xe4: 1", b"X(O: 1", b"TE: trailers", b"Keep-Alive: timeout=5",
          b"Content-Length : 5", b"Content-Length\t: 5", b"Transfer-Encoding : chunked", b"Transfer-Encoding\x00: chunked", b"Content_Length: 5",
          b"Transfer-Encoding:\x0bchunked", b"content-length: 5", b"TRANSFER-ENCODING: CHUNKED", b"X-P: 1\r\n 2", b"X-Q: \x0b1"]
VERSIONS = [b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/2.0", b"HTTP/1.", b"HTTP/01.1", b"HTTP/1.1 ", b"HTTP/0.9", b""]
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


class Mistakes(random.Random):
    """Makes few mistakes or many, by its seed."""

    def __init__(self, seed):
        super().__init__(seed)
        self.share = self.choice([0.05, 0.2, 1])

    def happens(self, chance):
        return self.random() < chance * self.share


def likely(r, one, others, chance=0.75):
    return r.choice(others) if r.happens(1 - chance) else one


def chunks(r):
    """A chunked body, which may have a mistake."""
    wrong = 1 if r.random() < 0.6 else 0.7
    out = b""
    for _ in range(r.randint(0, 3)):
        out += likely(r, b"5", SIZES, wrong) + likely(r, b"\r\n", ENDS, wrong) + b"hello" + likely(r, b"\r\n", ENDS, wrong)
    return out + likely(r, b"0", [b"00", b"0;a", b"0 ", b"", b"-0"], wrong) + likely(r, b"\r\n", ENDS, wrong) + \
        r.choice([b"", b"", b"", b"X-T: 1\r\n", b"Content-Length: 5\r\n", b"bad\r\n", b" x\r\n"]) + likely(r, b"\r\n", ENDS, wrong)


def framed(r):
    """Lines that say how long a body is, and a body."""
    roll = r.random()
    if roll < 0.25:
        return [], likely(r, b"", [SMUGGLED, b"hello"])
    if roll < 0.5:
        return [b"Content-Length: " + likely(r, b"5", LENGTHS)], likely(r, b"hello", [b"hell", b"hello!", b"", b"hello" + SMUGGLED])
    if not r.happens(1):
        return [b"Transfer-Encoding: " + likely(r, b"chunked", CODINGS)], chunks(r)
    lines = [b"Content-Length: " + r.choice(LENGTHS), r.choice([b"Transfer-Encoding: ", b"Content-Length: "]) + r.choice(CODINGS + LENGTHS)]
    r.shuffle(lines)
    return lines, r.choice([chunks(r), b"hello", b"hello" + SMUGGLED, b"0\r\n\r\n" + SMUGGLED])


def assembled(r, first, lines, body):
    r.shuffle(lines)
    wrong = 1 if r.random() < 0.7 else 0.9
    head = first + likely(r, b"\r\n", ENDS, wrong)
    for line in lines:
        head += line + likely(r, b"\r\n", ENDS, wrong)
    return head + likely(r, b"\r\n", ENDS, wrong) + body


def mutated(r, data):
    """With some bytes others, more or fewer."""
    for _ in range(r.choice([1, 1, 2, 3]) if r.happens(0.6) else 0):
        at = r.randrange(len(data) + 1)
        roll = r.random()
        if roll < 0.4:
            data = data[:at] + r.choice(BYTES) + data[at:]
        elif roll < 0.7:
            data = data[:at] + r.choice(BYTES) + data[at + 1:]
        elif roll < 0.85:
            data = data[:at] + data[at + r.choice([1, 1, 2, 5]):]
        else:
            end = min(len(data), at + r.randint(1, 30))
            data = data[:end] + data[at:end] + data[end:]
    return data


def a_request(r):
    lines, body = framed(r)
    method = r.choice([b"POST", b"PUT", b"PATCH"]) if body and not r.happens(0.4) else r.choice(METHODS)
    lines += [] if r.happens(0.05) else [b"Host: " + likely(r, b"a", HOSTS)]
    lines += [likely(r, r.choice(FIELDS[:3]), FIELDS, 0.6) for _ in range(r.choice([0, 0, 1, 1, 2]))]
    first = method + likely(r, b" ", [b"  ", b"\t", b""], 0.98) + likely(r, b"/a", TARGETS, 0.4) + b" " + likely(r, b"HTTP/1.1", VERSIONS)
    return likely(r, b"", [b"\r\n", b"\n", b" "], 0.8) + assembled(r, first, lines, body)


def a_connection(r):
    return mutated(r, b"".join(a_request(r) for _ in range(r.choice([1, 1, 2, 2, 3]))))


def a_response(r):
    lines, body = framed(r)
    status = likely(r, b"200 OK", [b"204 No Content", b"304 Not Modified", b"404 ", b"200", b"299 \xe4", b"099 x", b"1000 x", b"20 x", b"200\tOK", b"+20 x",
                                   b"500 a\x00b", b"999 x"])
    lines += [likely(r, r.choice(FIELDS[:3]), FIELDS, 0.6) for _ in range(r.choice([0, 0, 1, 2]))]
    before = likely(r, b"", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nX-Z: 1\r\n\r\n", b"\r\n", b"HTTP/1.1 199 x\r\n"])
    return mutated(r, before + assembled(r, likely(r, b"HTTP/1.1", VERSIONS) + b" " + status, lines, body))


# ---- who reads it ---------------------------------------------------------------------------------

# Ends here, or is said anew, whatever the client sent.
NOT_COMPARED = {b"host", b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"content-length",
                b"expect", b"accept-encoding", b"x-forwarded-for", b"x-forwarded-proto", b"via", b"proxy-authenticate", b"proxy-authorization",
                b"date", b"age", b"cache-status", b"x-seen", b"cache-control"}


def fields_of(pairs):
    pairs = [(name.lower(), value) for name, value in pairs]
    named = {name.strip().lower() for field, value in pairs if field == b"connection" for name in value.split(b",")}
    return sorted((name, value) for name, value in pairs if name not in NOT_COMPARED and name not in named)


def target_of(target, method):
    """As it is in origin-form."""
    for scheme in (b"http://", b"https://"):
        if target[:len(scheme)].lower() == scheme:
            rest = target[len(scheme):]
            at = min((i for i in (rest.find(b"/"), rest.find(b"?")) if i >= 0), default=len(rest))
            rest = rest[at:]
            return rest if rest[:1] == b"/" else b"*" if method == b"OPTIONS" and not rest else b"/" + rest
    return target


def a_message(method, target, pairs, body):
    return (method, target_of(target, method), fields_of(pairs), body)


def pairs_of(flat):
    flat = [text.encode("latin1") for text in flat]
    return list(zip(flat[::2], flat[1::2]))


class H11Requests:
    """What h11 makes of a connection's bytes, one by one; `wrong` is why no more came."""

    def __init__(self, data=b""):
        self.connection = h11.Connection(h11.SERVER)
        self.messages, self.wrong = [], None
        self.head, self.body = None, b""
        if data:
            self.feed(data)
            self.feed(b"")

    def feed(self, data, answer=None):
        """`answer`: what to send for a request, given its number; else it is answered here."""
        try:
            self.connection.receive_data(data)
            while True:
                event = self.connection.next_event()
                if event in (h11.NEED_DATA,) or isinstance(event, h11.ConnectionClosed):
                    return
                if event is h11.PAUSED:
                    return
                if isinstance(event, h11.Request):
                    self.head, self.body = event, b""
                elif isinstance(event, h11.Data):
                    self.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    pairs = [(bytes(name), bytes(value)) for name, value in self.head.headers]
                    self.messages.append(a_message(bytes(self.head.method), bytes(self.head.target), pairs, self.body))
                    if answer:
                        answer(len(self.messages))
                    else:
                        self.connection.send(h11.Response(status_code=405, headers=[("Content-Length", "0")]))
                        self.connection.send(h11.EndOfMessage())
                    self.head = None
                    if self.connection.our_state is not h11.DONE or self.connection.their_state is not h11.DONE:
                        self.wrong = "it closes"
                        return
                    self.connection.start_next_cycle()
        except h11.ProtocolError as error:
            self.wrong = self.wrong or ("body: " if self.head else "") + str(error)


class RecordingOrigin:
    """Says of each request which it was, and keeps it as h11 understands it; `garbage` is what that refuses."""

    def __init__(self):
        self.messages, self.garbage, self.lock = [], [], threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = H11Requests()

        def answer(number):
            with self.lock:
                self.messages.append(reader.messages[-1])
                seen = len(self.messages) - 1
            out = reader.connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0"), ("X-Seen", str(seen)),
                                                                                ("Cache-Control", "no-store")]))
            client.sendall(out + reader.connection.send(h11.EndOfMessage()))
        with client:
            while True:
                try:
                    data = client.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                reader.feed(data, answer)
                if reader.wrong:
                    if reader.wrong != "it closes":
                        with self.lock:
                            self.garbage.append((data, reader.wrong))
                    return

    def stop(self):
        self.socket.close()


class ScriptedOrigin:
    """Says `script` to whoever has sent a request's head, and closes."""

    def __init__(self):
        self.script = b""
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.socket.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        data = b""
        with client:
            client.settimeout(PATIENCE_S)
            try:
                while b"\r\n\r\n" not in data:
                    piece = client.recv(65536)
                    if not piece:
                        return
                    data += piece
                client.sendall(self.script)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except OSError:
                pass

    def stop(self):
        self.socket.close()


class Node:
    def __init__(self):
        self.process = subprocess.Popen(["node", __file__.replace("test_http_differential.py", "http_reference.js")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def requests(self, data):
        """What it understands of a connection's bytes, and why no more."""
        messages = []
        for status, _, body in responses_in(raw(self.port, data, shutdown=True)):
            if status != 200:
                return messages, f"answers {status}"
            if body:
                said = json.loads(body.decode("latin1"))
                messages.append(a_message(said["method"].encode(), said["target"].encode("latin1"), pairs_of(said["fields"]),
                                          said["body"].encode("latin1")))
            else:
                messages.append(None)  # a HEAD: there is one
        return messages, self.ask("why") or "it closes"

    def response(self, port, method):
        return self.ask(f"{port} {method} /a")

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(PATIENCE_S)


def responses_in(data):
    """The final responses in what a server said, as (status, fields, body): those with a Content-Length or no body. What
    follows the head of an answer to HEAD is another head."""
    out = []
    while data:
        head, split, rest = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        status = int(lines[0].split(b" ")[1])
        pairs = [tuple(part.strip(b" \t") for part in line.split(b":", 1)) for line in lines[1:]]
        size = next((int(value) for name, value in pairs if name.lower() == b"content-length"), 0)
        if status < 200 or rest[:5] == b"HTTP/":
            size = 0
        if status >= 200:
            out.append((status, pairs, rest[:size]))
        if not size and rest[:5] not in (b"HTTP/", b""):
            return out  # of whatever length: it is the last
        data = rest[size:]
    return out


def h11_response(data, method):
    """What h11 makes of an answer to a request of that method: (status, fields, body), or why there is none."""
    connection = h11.Connection(h11.CLIENT)
    head, body = None, b""
    try:
        connection.send(h11.Request(method=method, target="/a", headers=[("Host", "a")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(data)
        connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return head.status_code, [(bytes(name), bytes(value)) for name, value in head.headers], body
            elif event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return f"{type(event).__name__} {event}"
    except h11.ProtocolError as error:
        return ("body: " if head else "") + str(error)


# ---- the comparison -------------------------------------------------------------------------------


class Comparison:
    def __init__(self, seed):
        self.seed, self.differences, self.counts = seed, 0, Counter()

    def differ(self, kind, number, data, what):
        self.differences += 1
        print(f"\n{kind} {number} of --seed {self.seed}: {what}\n    {data!r}", flush=True)

    def is_allowed(self, kind, who, wrong, data):
        for message, name, says, like, why in ALLOWED:
            if message in (kind, "both") and name in (who, "both") and re.search(says, wrong or "", re.IGNORECASE) and re.search(like, data):
                self.counts[f"that {who} refuses: {why}"] += 1
                return True
        return False

    def requests(self, server, origin, node, number):
        data = a_connection(Mistakes(f"{self.seed}/request/{number}"))
        first = len(origin.messages)
        said = responses_in(raw(server.port, data, shutdown=True))
        with origin.lock:
            forwarded, garbage = origin.messages[first:], origin.garbage[:]
            origin.garbage.clear()
        for sent, why in garbage:
            self.differ("request", number, data, f"the origin got what h11 refuses ({why}): {sent!r}")
        ours = []
        for _, pairs, _ in said:
            seen = next((value for name, value in pairs if name.lower() == b"x-seen"), None)
            ours.append(forwarded[int(seen) - first] if seen is not None else None)
        self.counts["requests that went through"] += len(forwarded)
        self.counts["requests that nuthatch answers itself"] += sum(message is None for message in ours)
        if len([message for message in ours if message]) != len(forwarded):
            self.differ("request", number, data, f"{len(forwarded)} reached the origin, answered were {ours}")
        reader = H11Requests(data)
        self.compare_requests(number, data, "h11", ours, reader.messages, reader.wrong)
        self.compare_requests(number, data, "node", ours, *node.requests(data))

    def compare_requests(self, number, data, who, ours, theirs, wrong):
        for at, message in enumerate(ours):
            if message is None:
                continue
            if at >= len(theirs):
                if not self.is_allowed("request", who, wrong, data):
                    self.differ("request", number, data, f"the origin got {message}, which {who} refuses: {wrong}")
                return
            if theirs[at] is not None and theirs[at] != message and not (who == "node" and message[0] == b"HEAD"):
                self.differ("request", number, data, f"the origin got {message}, but to {who} it is {theirs[at]}")
                return
        if len(theirs) > len(ours):
            self.counts[f"requests that {who} takes and nuthatch does not"] += len(theirs) - len(ours)

    def responses(self, server, origin, node, number):
        r = Mistakes(f"{self.seed}/response/{number}")
        method = r.choice(["GET", "GET", "GET", "HEAD"])
        origin.script = a_response(r)
        got = raw(server.port, f"{method} /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        ours = h11_response(got, method)
        if isinstance(ours, str):
            self.counts["responses that are cut for the client, too"] += 1
            if got and b"\r\n\r\n" not in got:
                self.differ("response", number, origin.script, f"the client got {got!r}")
            return
        status, pairs, body = ours
        if any(name.lower() == b"content-type" and value == b"application/problem+json" for name, value in pairs):
            self.counts["responses that nuthatch refuses"] += 1
            return
        self.counts["responses that went through"] += 1
        said = node.response(origin.port, method)
        theirs = said.get("wrong") or (said["status"], pairs_of(said["fields"]), said["body"].encode("latin1"))
        for who, their in (("h11", h11_response(origin.script, method)), ("node", theirs)):
            if isinstance(their, str):
                if not self.is_allowed("response", who, their, origin.script):
                    self.differ("response", number, origin.script, f"{method}: the client got {ours}, which {who} refuses: {their}")
                return
            if (status, fields_of(pairs), body) != (their[0], fields_of(their[1]), their[2]):
                self.differ("response", number, origin.script, f"{method}: the client got {ours}, but to {who} it is {their}")
                return


def compare(arguments):
    comparison, node = Comparison(arguments.seed), Node()
    recording, scripted = RecordingOrigin(), ScriptedOrigin()
    options = ("--memory", "64M", "--threads", "1", "--retries", "0", "--body-timeout", "2s", "--first-byte-timeout", "5s")
    try:
        with Nuthatch("gateway", f"http://127.0.0.1:{recording.port}", *options) as to_recording, \
                Nuthatch("gateway", f"http://127.0.0.1:{scripted.port}", *options) as to_scripted:
            end, number = time.time() + arguments.seconds, 0
            while time.time() < end and comparison.differences < DIFFERENCES_MAX:
                if not arguments.responses:
                    comparison.requests(to_recording, recording, node, number)
                if not arguments.requests:
                    comparison.responses(to_scripted, scripted, node, number)
                number += 1
    finally:
        node.stop()
        recording.stop()
        scripted.stop()
    comparison.counts["of each"] = number
    return comparison


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=20261129, help="0: by chance")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--requests", action="store_true", help="no responses")
    parser.add_argument("--responses", action="store_true", help="no requests")
    arguments = parser.parse_args()
    arguments.seed = arguments.seed or random.SystemRandom().randrange(1 << 32)
    print(f"--seed {arguments.seed} --seconds {arguments.seconds:g}", flush=True)
    comparison = compare(arguments)
    for what, count in sorted(comparison.counts.items()):
        print(f"{count:7} {what}")
    print(f"{comparison.differences} differences")
    sys.exit(1 if comparison.differences else 0)


if __name__ == "__main__":
    main()
