"""An HTTP/1.1 server that misbehaves on request, for tests/unit/test_origin.c.

Prints its port. Speaks TLS with a fresh self-signed certificate when started with --tls. Ends with its
standard input. What a path does is said beside it in ANSWERS.
"""

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

lock = threading.Lock()
accepted = 0  # connections so far
busy = 0  # requests under way at /busy
busy_peak = 0
runs = 0  # of /count
large_sent = 0  # bytes of the last /large that the socket has taken


class Gone(Exception):
    """The client closed, or this connection is to be."""


class Connection:
    def __init__(self, sock, number):
        self.sock, self.number, self.data = sock, number, b""
        self.dies_at_next = False

    def more(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise Gone
        self.data += piece

    def take(self, count):
        while len(self.data) < count:
            self.more()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def take_until(self, end):
        while end not in self.data:
            self.more()
        return self.take(self.data.index(end) + len(end))

    def take_body(self, head):
        lines = head.lower().split(b"\r\n")
        if b"transfer-encoding: chunked" in lines:
            body = b""
            while size := int(self.take_until(b"\r\n"), 16):
                body += self.take(size)
                assert self.take(2) == b"\r\n"
            assert self.take_until(b"\r\n") == b"\r\n"
            return body
        for line in lines:
            if line.startswith(b"content-length: "):
                return self.take(int(line[16:]))
        return b""

    def answer(self, body, fields=b"", status=b"200 OK"):
        head = b"HTTP/1.1 %s\r\nX-Connection: %d\r\n%sContent-Length: %d\r\n\r\n"
        self.sock.sendall(head % (status, self.number, fields, len(body)) + body)


def plain(c, head):
    c.take_body(head)
    c.answer(b"" if head.startswith(b"HEAD ") else b"hello")


def head_only(c, head):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nContent-Type: text/plain\r\n\r\n")


def echo(c, head):
    """The request as it came, its body without framing."""
    c.answer(head + c.take_body(head))


def slow_reader(c, head):
    size = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length: "):
            size = int(line[16:])
    left = size
    while left:
        left -= len(c.take(min(left, 200000)))
        time.sleep(0.01)
    c.answer(b"%d" % size)


def raw(c, head):
    """Exactly the bytes that the field X-Raw holds in hexadecimal; then the connection is closed, unless
    X-Stay says otherwise."""
    c.take_body(head)
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    c.sock.sendall(bytes.fromhex(fields.get(b"X-Raw", b"").decode()))
    if b"X-Stay" not in fields:
        raise Gone


def drip(c, head):
    for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n":
        c.sock.sendall(bytes([byte]))
        time.sleep(0.001)


def large(c, head):
    """So many bytes as the query says, or 50 MiB, counting up from 0 modulo 256."""
    global large_sent
    query = head.split(b" ")[1].partition(b"?")[2]
    size, block = int(query or 50 * 1024 * 1024), bytes(range(256)) * 256
    large_sent = 0
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    while large_sent < size:
        large_sent += c.sock.send(block[large_sent % 256 :][: size - large_sent])


def large_chunked(c, head):
    """As much as the query says, in chunks of changing size."""
    left, sent, size = int(head.split(b" ")[1].partition(b"?")[2]), 0, 1
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while left:
        size = min(left, size * 7 % 50021)
        data = (bytes(range(256)) * 200)[sent % 256 :][:size]
        c.sock.sendall(b"%x\r\n%s\r\n" % (size, data))
        left, sent = left - size, sent + size
    c.sock.sendall(b"0\r\n\r\n")


def large_progress(c, head):
    c.answer(b"%d" % large_sent)


def large_head(c, head):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(1000):
        c.sock.sendall(b"X-Filler: " + b"f" * 1000 + b"\r\n")


def large_line(c, head):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nX-Filler: ")
    for _ in range(1000):
        c.sock.sendall(b"f" * 1000)


def endless_interim(c, head):
    while True:
        c.sock.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: <a>; rel=preload\r\n\r\n")


def endless_trailers(c, head):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    while True:
        c.sock.sendall(b"X-Trailer: " + b"t" * 1000 + b"\r\n")


def silence(c, head):
    c.more()


def stall(c, head):
    c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    c.more()


def close(c, head):
    raise Gone


def dies(c, head):
    """Answers; the next request on this connection is read and not answered."""
    c.take_body(head)
    c.answer(b"dying")
    c.dies_at_next = True


def count(c, head):
    global runs
    c.take_body(head)
    with lock:
        runs += 1
    c.answer(b"%d" % runs)


def too_large(c, head):
    """Refuses without having read the body, as servers do."""
    c.answer(b"no", b"Connection: close\r\n", b"413 Content Too Large")
    c.sock.shutdown(socket.SHUT_WR)
    c.sock.settimeout(0.5)
    while True:
        c.more()
        c.data = b""


def held(c, head):
    global busy, busy_peak
    with lock:
        busy += 1
        busy_peak = max(busy_peak, busy)
    time.sleep(0.02)
    with lock:
        busy -= 1
    c.answer(b"held")


def numbers(c, head):
    c.answer(b"accepted=%d busy_peak=%d runs=%d" % (accepted, busy_peak, runs))


def zipped(c, head):
    c.answer(b"\x1f\x8bnot really gzip", b"Content-Encoding: gzip\r\n")


ANSWERS = {
    b"/plain": plain,
    b"/head": head_only,
    b"/echo": echo,
    b"/slow-reader": slow_reader,
    b"/raw": raw,
    b"/drip": drip,
    b"/large": large,
    b"/large-chunked": large_chunked,
    b"/large-progress": large_progress,
    b"/large-head": large_head,
    b"/large-line": large_line,
    b"/endless-interim": endless_interim,
    b"/endless-trailers": endless_trailers,
    b"/silence": silence,
    b"/stall": stall,
    b"/close": close,
    b"/dies": dies,
    b"/count": count,
    b"/too-large": too_large,
    b"/busy": held,
    b"/numbers": numbers,
    b"/zipped": zipped,
}


def serve(sock, number):
    connection = Connection(sock, number)
    try:
        while True:
            head = connection.take_until(b"\r\n\r\n")
            if connection.dies_at_next:
                raise Gone
            target = head.split(b" ")[1]
            ANSWERS.get(target.split(b"?")[0], echo)(connection, head)
    except (Gone, OSError):
        pass
    finally:
        sock.close()


def self_signed(directory):
    certificate, key = os.path.join(directory, "certificate"), os.path.join(directory, "key")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout".split()
    subprocess.run(command + [key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def serve_tls(context, sock, number):
    try:
        sock = context.wrap_socket(sock, server_side=True)
    except OSError:
        return
    serve(sock, number)


def accept(listener, context):
    global accepted
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted += 1
        target, arguments = (serve_tls, (context, sock, accepted)) if context else (serve, (sock, accepted))
        threading.Thread(target=target, args=arguments, daemon=True).start()


def main():
    context = None
    if "--tls" in sys.argv:
        with tempfile.TemporaryDirectory() as directory:
            context = self_signed(directory)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    # Inherited by what is accepted: little of a large message hides in the kernel.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(listener, context), daemon=True).start()
    sys.stdin.read()


main()
