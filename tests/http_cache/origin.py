"""The scripted origin: answers each request as the current step of its row says, byte for byte."""
import asyncio
import math
import re
import time

from wire import http_date, read_body, read_head, write

ROW_PATH = re.compile(r"/(rows-\w+/\d+)(?=[/?#]|$|[^\w])")
HALF = b"and then the second"
STALL_S = 15
REASONS = {200: "OK", 304: "Not Modified", 404: "Not Found"}


def body_of(answer, number, request):
    if answer.status in (204, 304):
        return b""
    if answer.pause_s:
        return b"the first half, " + HALF
    if answer.echo:
        return ",".join(request.values(answer.echo)).encode("latin-1")
    return b"what step %d gave\n" % number if answer.body is None else answer.body


def fields_of(answer, fill):
    """Those of the script, and Date: rounded up, or an answer of max-age=1 may have run out when it arrives."""
    fields = [fill(field) for field in answer.fields]
    if answer.has_date and not any(field.lower().startswith("date:") for field in fields):
        fields.append(f"Date: {http_date(None, math.ceil(time.time()))}")
    return fields


def framing_of(answer, fields, body_bytes):
    if answer.status in (204, 304):
        return []
    if answer.framing in ("length", "cut") and not any(field.lower().startswith("content-length:") for field in fields):
        return [f"Content-Length: {body_bytes + (10 if answer.framing == 'cut' else 0)}"]
    if answer.framing in ("chunked", "unended"):
        return ["Transfer-Encoding: chunked"]
    if answer.framing == "close" and answer.version == "1.1":
        return ["Connection: close"]
    return []


def head_of(answer, fields, body_bytes, fill):
    """The interim responses, and the final one's head."""
    text = ""
    for status, *lines in answer.interim:
        text += f"HTTP/1.1 {status} Interim\r\n" + "".join(f"{fill(line)}\r\n" for line in lines) + "\r\n"
    text += f"HTTP/{answer.version} {answer.status} {answer.reason or REASONS.get(answer.status, 'Whatever')}\r\n"
    text += "".join(f"{field}\r\n" for field in fields + framing_of(answer, fields, body_bytes))
    return (text + "\r\n").encode("latin-1")


def framed(answer, body, request_line, fill):
    if request_line.startswith("HEAD ") or answer.status in (204, 304):
        return b""
    if answer.framing == "unended":
        return b"%x\r\n%s\r\n" % (len(body), body)
    if answer.framing != "chunked":
        return body
    chunks = [body[:-len(HALF)], HALF] if body.endswith(HALF) else [body]
    trailers = "".join(f"{fill(line)}\r\n" for line in answer.trailers).encode("latin-1")
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n" + trailers + b"\r\n"


class Origin:
    """Answers each request as the current step of its row says."""

    def __init__(self):
        self.plays = {}
        self.server = None
        self.port = 0
        self.connections = set()

    async def start(self, port=0):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", port, limit=1 << 20, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self):
        self.server.close()
        for writer in list(self.connections):
            writer.transport.abort()
        await self.server.wait_closed()

    async def serve(self, reader, writer):
        self.connections.add(writer)
        try:
            while await self.serve_one(reader, writer):
                pass
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # cancelled: at the end of the run
        finally:
            self.connections.discard(writer)
            writer.transport.abort()

    async def serve_one(self, reader, writer):
        """False once the connection is to be closed."""
        request = await read_head(reader)
        await read_body(reader, request, False)
        found = ROW_PATH.search(request.line)
        play = self.plays.get(found.group(1)) if found else None
        if play is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        number, answer = play.asked(request)
        await asyncio.sleep(answer.delay_s)
        return await self.give(writer, play, number, request, answer)

    async def give(self, writer, play, number, request, answer):
        if answer.fault == "stall":
            await asyncio.sleep(STALL_S)
        if answer.fault == "garbage":
            writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            await writer.drain()
        if answer.fault:
            if answer.fault == "reset":
                writer.transport.abort()
            else:
                writer.close()
            return False
        data = answer.raw.encode("latin-1")
        if not answer.raw:
            body, fields = body_of(answer, number, request), fields_of(answer, play.fill)
            play.gave(number, answer, body, fields)
            data = head_of(answer, fields, len(body), play.fill) + framed(answer, body, request.line, play.fill)
        if answer.pause_s:
            half = data.index(HALF)
            writer.write(data[:half])
            await asyncio.sleep(answer.pause_s)
            data = data[half:]
        # What lies behind an answer comes with it, or it might meet another row's request.
        await write(writer, data, None if answer.raw and not answer.closes else play.random)
        if answer.closes or answer.framing in ("close", "cut", "unended") or answer.version == "1.0":
            writer.close()
            return False
        return True
