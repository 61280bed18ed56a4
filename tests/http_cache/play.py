"""Plays rows: the scripted origin, the client, and the comparison of what was expected with what came.

Both ends are written by hand over sockets, so that each sees the other's bytes: no library mends them.
"""
import asyncio
import dataclasses
import email.utils
import math
import re
import secrets
import time

from words import BACKGROUND, ORIGIN, STORE, Answer

PATIENCE_S = 15
BACKGROUND_PATIENCE_S = 3
STEPS_AT_A_TIME = 64
PIECES, PIECE_PAUSE_S = 6, 0.002
LINGER_S = 0.3
ROW_PATH = re.compile(r"/(rows-\w+/\d+)(?=[/?#]|$|[^\w])")
PLACES = re.compile(r"\{(?:(rfc850|asctime):)?(now|path|last|host|origin)([+-]\d+)?\}")
HALF = b"and then the second"
NOT_SCRIPTED = Answer(fields=("Cache-Control: no-store",), body=b"the origin was asked in a step that has no answer\n")


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


# ---- reading messages ------------------------------------------------------------------------------------


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


# ---- the origin ------------------------------------------------------------------------------------------


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
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
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
            await asyncio.sleep(PATIENCE_S)
        if answer.fault == "garbage":
            writer.write(b"\x00\x01 this is not HTTP\r\n\r\n")
            await writer.drain()
        if answer.fault:
            if answer.fault == "reset":
                writer.transport.abort()
            else:
                writer.close()
            return False
        data = answer.raw.encode("latin-1") if answer.raw else play.answer_bytes(number, request, answer)
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


# ---- one row ---------------------------------------------------------------------------------------------


class Play:
    """One row on its way: what was asked and given in each step, and what did not come out as expected."""

    def __init__(self, row, path, host, origin_host, is_ours, turns, random):
        self.row, self.path, self.is_ours = row, path, is_ours
        self.places = {"path": path, "last": path.rpartition("/")[2], "host": host, "origin": origin_host}
        self.number = 0  # of the step, from 1
        self.requests = []  # of (step's number, request)
        self.given = []  # of (step's number, answer, its body, its fields)
        self.problems = []
        self.transcript = []
        self.began = time.time()
        self.turns, self.random = turns, random

    def fill(self, text):
        def place(found):
            form, what, offset = found.groups()
            if what != "now":
                return self.places[what]
            return http_date(form, self.began + int(offset or 0))
        return PLACES.sub(place, text)

    # ---- the origin's side ----

    def asked(self, request):
        number = self.number
        earlier = sum(1 for step, _ in self.requests if step == number)
        self.requests.append((number, request))
        self.transcript.append(f"    origin saw  {request.line}" + "".join(f" | {n}: {v}" for n, v in request.fields))
        step = self.row.steps[number - 1]
        if step.during and request.line.startswith(step.during.method + " "):
            step = step.during
        answers = step.answers
        answer = answers[min(earlier, len(answers) - 1)] if answers else NOT_SCRIPTED
        if answer.status == 304 and not (request.values("If-None-Match") or request.values("If-Modified-Since")):
            answer = Answer(fields=("Cache-Control: no-store",), body=b"the origin was asked without a condition\n")
        if answer.status in (206, 416) and not request.values("Range"):
            fields = tuple(field for field in answer.fields if not field.startswith("Content-Range:"))
            answer = dataclasses.replace(answer, status=200, fields=fields, body=answer.whole)
        return number, answer

    def answer_bytes(self, number, request, answer):
        body = b"what step %d gave\n" % number if answer.body is None else answer.body
        if answer.pause_s:
            body = b"the first half, " + HALF
        if answer.echo:
            body = ",".join(request.values(answer.echo)).encode("latin-1")
        fields = [self.fill(field) for field in answer.fields]
        names = {field.partition(":")[0].lower() for field in fields}
        if answer.status in (204, 304):
            body = b""
        if answer.has_date and "date" not in names:
            # Rounded up: rounded down, an answer of max-age=1 may have run out when it arrives.
            fields.append(f"Date: {http_date(None, math.ceil(time.time()))}")
        self.given.append((number, answer, body, list(fields)))
        has_framing = answer.status not in (204, 304)
        if has_framing and answer.framing in ("length", "cut") and "content-length" not in names:
            fields.append(f"Content-Length: {len(body) + (10 if answer.framing == 'cut' else 0)}")
        if has_framing and answer.framing in ("chunked", "unended"):
            fields.append("Transfer-Encoding: chunked")
        if answer.framing == "close" and answer.version == "1.1":
            fields.append("Connection: close")
        text = ""
        for status, *lines in answer.interim:
            text += f"HTTP/1.1 {status} Interim\r\n" + "".join(f"{self.fill(line)}\r\n" for line in lines) + "\r\n"
        reason = answer.reason or {200: "OK", 304: "Not Modified", 404: "Not Found"}.get(answer.status, "Whatever")
        text += f"HTTP/{answer.version} {answer.status} {reason}\r\n" + "".join(f"{field}\r\n" for field in fields) + "\r\n"
        self.transcript.append(f"    origin gave {answer.status} | " + " | ".join(fields))
        if request.line.startswith("HEAD ") or not has_framing:
            body = b""
        elif answer.framing == "chunked":
            chunks = [body[:-len(HALF)], HALF] if body.endswith(HALF) else [body]
            body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks if chunk) + b"0\r\n"
            body += "".join(f"{self.fill(line)}\r\n" for line in answer.trailers).encode() + b"\r\n"
        elif answer.framing == "unended":
            body = b"%x\r\n%s\r\n" % (len(body), body)
        return text.encode("latin-1") + body

    # ---- the client's side ----

    def request_bytes(self, step, index):
        if step.raw is not None:
            return self.fill(step.raw.decode("latin-1")).encode("latin-1")
        fields = [self.fill(field) for field in step.fields + step.each[index:index + 1]]
        names = {field.partition(":")[0].lower() for field in fields}
        if step.host:
            fields.insert(0, f"Host: {self.fill(step.host)}")
        if step.body is not None and not names & {"content-length", "transfer-encoding"}:
            fields.append(f"Content-Length: {len(step.body)}")
        target = self.path + self.fill(step.suffix)
        head = f"{step.method} {target} HTTP/{step.version}\r\n" + "".join(f"{field}\r\n" for field in fields) + "\r\n"
        return head.encode("latin-1") + (step.body or b"")

    async def send(self, address, step, index):
        data = self.request_bytes(step, index)
        self.transcript.append("  client sent   " + " | ".join(data.decode("latin-1").split("\r\n")).strip(" |"))
        reader, writer = await asyncio.open_connection(*address, limit=1 << 20)
        try:
            await write(writer, data, self.random)
            response = await read_response(reader, step.method)
            if step.raw is not None:
                await self.linger(reader)
        finally:
            writer.transport.abort()
        self.transcript.append(f"  client got    {response.line}" + "".join(f" | {n}: {v}" for n, v in response.fields)
                               + f" | {response.body[:80]!r}" + ("" if response.is_whole else " CUT"))
        return response

    async def send_during(self, address, step):
        await asyncio.sleep(LINGER_S)  # the origin has been asked by then
        response = await self.send(address, step, 0)
        if response.status != step.answers[0].status:
            self.problem(f"meanwhile: status {response.status}")

    @staticmethod
    async def linger(reader):
        """Gives what was sent behind a request its time to be taken for another."""
        try:
            await asyncio.wait_for(reader.read(), LINGER_S)
        except (OSError, asyncio.TimeoutError):
            pass

    async def run(self, address):
        for number, step in enumerate(self.row.steps, 1):
            if step.pause_s:
                await asyncio.sleep(step.pause_s)
            self.number = number
            try:
                async with self.turns:
                    responses = await asyncio.wait_for(
                        asyncio.gather(*(self.send(address, step, index) for index in range(step.crowd)),
                                       *([self.send_during(address, step.during)] if step.during else [])), PATIENCE_S)
            except asyncio.TimeoutError:
                self.problem("no answer in time")
            except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                if not step.is_cut and (not step.is_refusal or self.is_ours):
                    self.problem(f"no answer: {error!r}")
            else:
                if step.source == BACKGROUND:
                    await self.wait_for_request(number)
                for index, response in enumerate(responses[:step.crowd]):
                    self.compare(step, response, index)
            self.compare_origin(step)
            if self.problems:
                return

    async def wait_for_request(self, number):
        end = time.monotonic() + BACKGROUND_PATIENCE_S
        while time.monotonic() < end and not any(step == number for step, *_ in self.given):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)  # what it brought is stored

    # ---- what was expected ----

    def problem(self, text):
        self.problems.append(f"step {self.number}: {text}")

    def source_of(self, step):
        """Which (answer, body, fields) the client's is expected to be, or None."""
        number = self.number
        before = [entry for entry in self.given if entry[0] < number and entry[1].status not in (304,)]
        now = [entry for entry in self.given if entry[0] == number and entry[1].status != 304]
        if step.from_step > 0:
            before = [entry for entry in before if entry[0] == step.from_step]
        if step.source in (STORE, BACKGROUND) or step.from_step:
            return before[-1] if before else None
        if now:
            return now[-1]
        return before[-1] if before and any(entry[0] == number for entry in self.given) else None

    def compare(self, step, response, index):
        source = self.source_of(step)
        if step.is_cut and response.status in (502, 503, 504):
            return
        statuses = step.statuses or ((source[1].status,) if source else ())
        if statuses == (200,) and not step.statuses and any(field.startswith("Range:") for field in step.fields):
            statuses = (200, 206, 416)  # the cache may cut what it was given
        if step.is_refusal and not self.is_ours and response.status >= 400:
            return
        if statuses and response.status not in statuses:
            self.problem(f"status {response.status}, not {' or '.join(map(str, statuses))}")
        if response.is_whole == step.is_cut:
            self.problem("the body breaks off" if not response.is_whole else "a body that broke off came as whole")
        if source and source[1].echo and step.each:
            own = step.each[index].partition(":")[2].strip().encode("latin-1")
            if response.body != own:
                self.problem(f"the body is {response.body!r}, and should be of {own!r}")
        else:
            self.compare_body(step, response, source)
        for expected in step.has:
            if not response.has(self.fill(expected)):
                self.problem(f"no {expected}")
        for name in step.has_not:
            if response.has(name):
                self.problem(f"there is {name}: {', '.join(response.values(name.partition(':')[0]))}")
        if step.reason is not None and response.reason != step.reason:
            self.problem(f"the reason is {response.reason!r}")
        if step.ages:
            self.compare_age(step, response)
        if step.is_verbatim and source:
            self.compare_fields(source, response)
        if step.is_streamed and response.received - response.body_began < source[1].pause_s / 2:
            self.problem("the body came at once")
        if step.expected_interim is not None:
            self.compare_interim(step, response)
        if step.statuses_said:
            self.compare_cache_status(step, response)

    def compare_body(self, step, response, source):
        expected = step.expected_body
        if step.statuses and response.status != step.statuses[0]:
            expected = None  # it is of the first status
        if expected is None and source and response.status == source[1].status:
            expected = source[2]
        if step.method == "HEAD" or response.status in (204, 304):
            expected = b""
        if expected is None:
            return
        if step.is_cut:
            if not expected.startswith(response.body):
                self.problem(f"the body is {response.body[:60]!r}")
        elif response.body != expected:
            self.problem(f"the body is {response.body[:60]!r}, not {expected[:60]!r}")

    def compare_age(self, step, response):
        ages = response.values("Age")
        low, high = step.ages
        if len(ages) != 1 or not ages[0].isdigit() or not low <= int(ages[0]) <= high:
            self.problem(f"Age is {', '.join(ages) or 'absent'}, not {low} to {high}")

    def compare_fields(self, source, response):
        expected = [tuple(part.strip(" \t") for part in field.split(":", 1)) for field in source[3]]
        wanted = {name.lower() for name, _ in expected}
        found = [(name, value) for name, value in response.fields if name.lower() in wanted]
        if self.row.kind != "ours":
            expected, found = (sorted(((name.lower(), value) for name, value in fields), key=lambda field: field[0])
                               for fields in (expected, found))
        if found != expected:
            self.problem(f"fields came as {found}, not as {expected}")

    def compare_interim(self, step, response):
        expected = [(status, [self.fill(field) for field in fields]) for status, *fields in step.expected_interim]
        if len(expected) != len(response.interim):
            self.problem(f"{len(response.interim)} interim responses, not {len(expected)}")
        for (status, fields), interim in zip(expected, response.interim):
            if interim.status != status or not all(interim.has(field) for field in fields):
                self.problem(f"interim response {interim.line} {interim.fields}, not {status} {fields}")

    def compare_cache_status(self, step, response):
        members = [member.strip() for value in response.values("Cache-Status") for member in value.split(",")]
        parameters = [part.strip() for part in members[-1].split(";")[1:]] if members else []
        for said in step.statuses_said:
            absent = said.startswith("!")
            if (said.lstrip("!") in parameters or
                    said.lstrip("!") in [part.split("=")[0] for part in parameters]) == absent:
                self.problem(f"Cache-Status is {', '.join(members) or 'absent'}: {said}")

    def compare_origin(self, step):
        requests = [request for number, request in self.requests if number == self.number]
        if step.source == STORE and requests:
            self.problem("the origin was asked")
        if step.source in (ORIGIN, BACKGROUND) and not requests:
            self.problem("the origin was not asked")
        if step.asks_if_parts_were and not requests and all(request.values("Range") for _, request in self.requests):
            self.problem("the origin was not asked")
        if step.request_counts and not step.request_counts[0] <= len(requests) <= step.request_counts[1]:
            self.problem(f"the origin was asked {len(requests)} times, not {step.request_counts[0]}")
        for request in requests:
            for expected in step.seen:
                if not request.has(self.fill(expected)):
                    self.problem(f"the origin saw no {expected}")
            for name in step.not_seen:
                if request.has(self.fill(name)):
                    self.problem(f"the origin saw {name}: {', '.join(request.values(name.partition(':')[0]))}")
            if step.seen_target is not None and not request.line.split(" ")[1].endswith(self.path + step.seen_target):
                self.problem(f"the origin saw the target {request.line}")
            if step.unseen_target is not None and request.line.split(" ")[1].endswith(self.path + step.unseen_target):
                self.problem("the origin was asked for what was smuggled")
            if step.seen_body is not None and request.body != step.seen_body:
                self.problem(f"the origin saw the body {request.body[:60]!r}")


async def play_all(origin, rows, address_of, is_ours, random=None):
    """Plays all together and returns the plays. `address_of(row)`: (host, port) of the cache that it is for; `is_ours`:
    whether that is nuthatch; `random`: cuts messages into pieces."""
    run = secrets.token_hex(4)  # a cache that outlives this run has not seen its URLs
    plays, turns = [], asyncio.Semaphore(STEPS_AT_A_TIME)
    for number, row in enumerate(rows):
        host, port = address_of(row)
        plays.append(Play(row, f"/rows-{run}/{number}", f"{host}:{port}", f"127.0.0.1:{origin.port}", is_ours, turns, random))
        origin.plays[plays[-1].path.lstrip("/")] = plays[-1]
    await asyncio.gather(*(play.run(address_of(play.row)) for play in plays))
    return plays
