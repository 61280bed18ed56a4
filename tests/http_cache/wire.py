"""HTTP/1.1 as bytes, by hand, so that no library mends what comes or goes."""
import asyncio
import dataclasses
import email.utils
import time

PIECES, PIECE_PAUSE_S = 6, 0.002


def http_date(form, seconds):
    moment = time.gmtime(seconds)
    if form == "rfc850":
        return time.strftime("%A, %d-%b-%y %H:%M:%S GMT", moment)
    if form == "asctime":
        return f"{time.strftime('%a %b', moment)} {moment.tm_mday:2} {time.strftime('%H:%M:%S %Y', moment)}"
    return email.utils.formatdate(seconds, usegmt=True)


@dataclasses.dataclass
class Message:
    """A request or response as it came: `line` is its first line."""
    line: str = ""
    fields: list = dataclasses.field(default_factory=list)  # of (name, value), in order, as they came
    body: bytes = b""
    is_whole: bool = False
    interim: list = dataclasses.field(default_factory=list)
    body_began: float = 0  # when the first bytes of the body came, and the last
    received: float = 0

    def values(self, name):
        return [value for known, value in self.fields if known.lower() == name.lower()]

    @property
    def status(self):
        words = self.line.split(" ")
        return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0

    @property
    def reason(self):
        return self.line.split(" ", 2)[2] if self.line.count(" ") >= 2 else ""

    def has(self, expected):
        """`expected`: "Name: value", or a name alone."""
        name, colon, value = expected.partition(":")
        found = self.values(name)
        return any(one == value.strip() for one in found) if colon else bool(found)


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head[:-4].split("\r\n")
    fields = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields.append((name, value.strip(" \t")))
    return Message(lines[0], fields)


async def read_chunked(reader, message):
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
            return
        message.body += await reader.readexactly(size)
        message.body_began = message.body_began or time.monotonic()
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("no line end after a chunk")


async def read_body(reader, message, until_close):
    """Fills in the body; `until_close`: what has no framing goes on until the end of the connection."""
    try:
        if any("chunked" in value.lower() for value in message.values("Transfer-Encoding")):
            await read_chunked(reader, message)
        elif message.values("Content-Length"):
            size = int(message.values("Content-Length")[0])
            message.body = await reader.read(size)
            message.body_began = time.monotonic()
            try:
                message.body += await reader.readexactly(size - len(message.body))
            except asyncio.IncompleteReadError as short:
                message.body += short.partial
                return
        elif until_close:
            message.body = await reader.read()
        message.is_whole = True
    except (ValueError, OSError, asyncio.IncompleteReadError):
        pass


async def read_response(reader, method):
    message, interim = await read_head(reader), []
    while 100 <= message.status <= 199 and message.status != 101:
        interim.append(message)
        message = await read_head(reader)
    message.interim = interim
    if method == "HEAD" or message.status in (204, 304):
        message.is_whole = True
    else:
        await read_body(reader, message, True)
    message.received = time.monotonic()
    return message


async def write(writer, data, random):
    """Sends `data`; with a `random`, in several pieces, most of which arrive by themselves."""
    places = sorted(random.randrange(len(data) + 1) for _ in range(PIECES - 1)) if random else []
    for begin, end in zip([0, *places], [*places, len(data)]):
        if begin > 0:
            await asyncio.sleep(PIECE_PAUSE_S)
        if writer.transport.is_closing():
            return  # whoever reads has heard enough
        writer.write(data[begin:end])
    await writer.drain()
