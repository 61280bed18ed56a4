"""HTTP/2 by hand: frames written and read one by one, so that a test can send what no client would."""
import socket, struct, time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 2, 7, 8, 11
MAX_FRAME_SIZE, INITIAL_WINDOW_SIZE, HEADER_TABLE_SIZE = 5, 4, 1


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value, bits, first=0):
    """An integer of HPACK (RFC 7541, 5.1) with a prefix of so many bits."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytes([first | most]), value - most
    while value >= 128:
        out, value = out + bytes([value % 128 + 128]), value // 128
    return out + bytes([value])


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def block(fields):
    """A header block, each field a literal that no table takes up."""
    out = b""
    for name, value in fields:
        name, value = as_bytes(name), as_bytes(value)
        out += b"\0" + number(len(name), 7) + name + number(len(value), 7) + value
    return out


def request(path="/", method="GET", authority="a", scheme="http", more=()):
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


def huffman_digits(data, count):
    """The first digits of a text in HPACK's Huffman code."""
    bits, out = int.from_bytes(data, "big"), ""
    left = len(data) * 8
    while len(out) < count:
        left -= 5
        digit = bits >> left & 31
        if digit >= 3:  # those from 3 on have six bits
            left -= 1
            digit = (bits >> left & 63) - 0b011001 + 3
        out += str(digit)
    return out


def status_of(payload):
    """The status, which every response's block begins with."""
    while payload[0] & 0xe0 == 0x20:  # the size of the table
        payload = payload[1:]
    if payload[0] & 0x80:
        return (None, 200, 204, 206, 304, 400, 404, 500)[(payload[0] & 0x7f) - 7]
    value = payload[2:2 + (payload[1] & 0x7f)]
    return int(huffman_digits(value, 3) if payload[1] & 0x80 else value)


class Gone(Exception):
    """The server closed the connection."""


class Http2:
    """A connection. `answers[stream]` is [status, body, how it ended]: "" while it has not, "end", or ("reset", code).
    `goaway` is the error code of the last GOAWAY, or None."""

    def __init__(self, port, settings=(), wrap=None, preface=True, patience_s=30):
        self.socket = socket.create_connection(("127.0.0.1", port), patience_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if wrap:
            self.socket = wrap(self.socket)
        self.received, self.answers, self.goaway, self.frames = b"", {}, None, []
        self.next_stream = 1
        if preface:
            pairs = b"".join(struct.pack(">HI", name, value) for name, value in ((HEADER_TABLE_SIZE, 0), *settings))
            self.send(PREFACE + frame(SETTINGS, 0, 0, pairs))

    def send(self, data):
        self.socket.sendall(data)

    def ask(self, fields=None, body=None, end=True, **options):
        """Begins a request and returns its stream; without `end` its body goes on."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        ends = end and body is None
        data = frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream,
                     block(request(**options) if fields is None else fields))
        if body is not None:
            data += frame(DATA, END_STREAM if end else 0, stream, body)
        self.send(data)
        return stream

    def read_frame(self):
        while len(self.received) < 9 or len(self.received) < 9 + int.from_bytes(self.received[:3], "big"):
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise Gone
            self.received += piece
        size = int.from_bytes(self.received[:3], "big")
        kind, flags = self.received[3], self.received[4]
        stream = int.from_bytes(self.received[5:9], "big")
        payload, self.received = self.received[9:9 + size], self.received[9 + size:]
        self.frames.append((kind, flags, stream, payload))
        if kind == SETTINGS and not flags & ACK:
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind in (HEADERS, DATA, RST_STREAM):
            answer = self.answers.setdefault(stream, [None, b"", ""])
            if kind == HEADERS:
                answer[0] = status_of(payload)
            elif kind == DATA:
                answer[1] += payload
            if kind == RST_STREAM:
                answer[2] = answer[2] or ("reset", int.from_bytes(payload, "big"))
            elif flags & END_STREAM:
                answer[2] = "end"
        return kind, flags, stream, payload

    def answer(self, stream, open_window=True):
        """Returns (status, body, how it ended), once it has."""
        while not self.answers.get(stream, ("", "", ""))[2]:
            kind, _, of, payload = self.read_frame()
            if kind == DATA and open_window and payload:
                more = struct.pack(">I", len(payload))
                self.send(frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, of, more))
        return tuple(self.answers[stream])

    def fetch(self, **options):
        return self.answer(self.ask(**options))

    def ping(self):
        """Returns once all that was sent has been dealt with."""
        self.send(frame(PING, 0, 0, b"are you?"))
        while self.read_frame()[:2] != (PING, ACK):
            pass

    def read_until_closed(self):
        """Returns the error code of the GOAWAY, None if there was none."""
        try:
            while True:
                self.read_frame()
        except (Gone, ConnectionError):
            return self.goaway

    def flood(self, piece, most, times=1):
        """Sends `piece()` again and again, at most so often, until the server has had enough; reads meanwhile. Returns
        the error code of its GOAWAY, None if it took it all."""
        self.socket.settimeout(0)
        sent, pending, end = 0, b"", time.time() + 30
        try:
            while time.time() < end:
                while not pending and sent < most:
                    pending = b"".join(piece() for _ in range(times))
                    sent += times
                try:
                    pending = pending[self.socket.send(pending):] if pending else pending
                except BlockingIOError:
                    time.sleep(0.001)
                try:
                    self.read_frame()
                except (BlockingIOError, TimeoutError):
                    if sent >= most and not pending:
                        break
        except (Gone, ConnectionError):
            pass
        self.socket.settimeout(30)
        self.flooded = sent
        if self.goaway is None and (sent < most or pending):
            self.read_until_closed()  # what it said before it closed
        return self.goaway

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
