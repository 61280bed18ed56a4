"""A connection that speaks the Redis protocol byte for byte: what a library would hide (pushes, errors, forms of null,
what a connection was told in which order) is there to be looked at.

    with Connection(port) as c:
        c.call("SET", "k", "v")            # raises ReplyError
        c.ask("INCR", "k")                 # an error is returned as a ReplyError
        c.send("GET", "k"); c.receive()    # apart

Bulk strings are bytes, simple strings and errors are str (bytes that are no UTF-8 are escaped), integers int, both
nulls None, maps dict, sets and arrays lists."""
import socket
import ssl
import time

PATIENCE_S = 30


class ReplyError(Exception):
    @property
    def code(self):
        return str(self).split(" ", 1)[0]

    def __eq__(self, other):
        return isinstance(other, ReplyError) and str(self) == str(other)

    __hash__ = Exception.__hash__


class ProtocolError(Exception):
    pass


class Closed(ConnectionError):
    pass


class Push(list):
    pass


class More(Exception):
    """The reply has not fully arrived."""


def render(arguments):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def text_of(line):
    return line.decode(errors="backslashreplace")


def parse(data, at=0):
    """Returns the reply that begins at `at` and where it ends; raises More."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise More
    kind, line, at = data[at:at + 1], data[at + 1:end], end + 2
    if kind == b"+":
        return text_of(line), at
    if kind == b"-":
        return ReplyError(text_of(line)), at
    if kind in b":(":
        return int(line), at
    if kind == b"_":
        return None, at
    if kind == b"#":
        return line == b"t", at
    if kind == b",":
        return float(line), at
    if kind in b"$!=":
        size = int(line)
        if size < 0:
            return None, at
        if len(data) < at + size + 2:
            raise More
        word = bytes(data[at:at + size])
        if data[at + size:at + size + 2] != b"\r\n":
            raise ProtocolError(f"a string of {size} bytes does not end where it should")
        return (ReplyError(text_of(word)) if kind == b"!" else word[4:] if kind == b"=" else word), at + size + 2
    if kind in b"*~>%|":
        count = int(line)
        if count < 0:
            return None, at
        members = []
        for _ in range(count * (2 if kind in b"%|" else 1)):
            member, at = parse(data, at)
            members.append(member)
        if kind == b"|":  # attributes of the reply behind them
            return parse(data, at)
        if kind == b"%":
            return {hashable(k): v for k, v in zip(members[::2], members[1::2])}, at
        return (Push(members) if kind == b">" else members), at
    raise ProtocolError(f"no reply begins with {kind!r}")


def hashable(key):
    return tuple(key) if isinstance(key, list) else key


class Connection:
    """`resp` 3 greets with HELLO 3. Pushes that come while a reply is waited for are in `pushes`, with when (monotonic)
    they were read."""

    def __init__(self, port, resp=2, user=None, password=None, tls=None, host="127.0.0.1", timeout=PATIENCE_S):
        self.timeout = timeout
        self.socket = socket.create_connection((host, port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:  # the authority's certificate
            self.socket = ssl.create_default_context(cafile=tls).wrap_socket(self.socket, server_hostname="localhost")
        self.data = b""
        self.pushes = []
        login = [user or "default", password] if password else []
        try:
            if resp == 3:
                self.call("HELLO", 3, *(["AUTH", *login] if login else []))
            elif login:
                self.call("AUTH", *login)
        except Exception:
            self.close()
            raise

    def send(self, *arguments):
        self.socket.sendall(render(arguments))

    def send_all(self, commands):
        self.socket.sendall(b"".join(render(arguments) for arguments in commands))

    def receive_any(self, timeout=None):
        """The next reply or push; raises TimeoutError, Closed."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            try:
                value, at = parse(self.data)
                self.data = self.data[at:]
                return value
            except More:
                pass
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                piece = self.socket.recv(1 << 16)
            except ssl.SSLError as error:
                raise Closed(str(error)) from None
            if not piece:
                raise Closed(f"closed; before it came {self.data[:100]!r}")
            self.data += piece

    def receive(self, timeout=None):
        """The next reply."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            value = self.receive_any(max(end - time.monotonic(), 0.001))
            if not isinstance(value, Push):
                return value
            self.pushes.append((time.monotonic(), value))

    def receive_push(self, timeout=None):
        """The next push that nobody has looked at yet."""
        if self.pushes:
            return self.pushes.pop(0)[1]
        value = self.receive_any(timeout)
        if not isinstance(value, Push):
            raise ProtocolError(f"a reply nobody asked for: {value!r}")
        return value

    def ask(self, *arguments, timeout=None):
        self.send(*arguments)
        return self.receive(timeout)

    def call(self, *arguments, timeout=None):
        reply = self.ask(*arguments, timeout=timeout)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, commands):
        commands = list(commands)
        self.send_all(commands)
        return [self.receive() for _ in commands]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
