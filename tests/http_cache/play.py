"""Plays a row: the client, what the origin is to answer, and a transcript of both."""
import asyncio
import collections
import dataclasses
import re
import secrets
import time

import judge
from wire import http_date, read_response, write
from words import BACKGROUND, Answer

PATIENCE_S = 15
BACKGROUND_PATIENCE_S = 3
STEPS_AT_A_TIME = 64
LINGER_S = 0.3
STORED_BY_S = 0.2  # after the origin gave it in the background
PLACES = re.compile(r"\{(?:(rfc850|asctime):)?(now|path|last|host|origin)([+-]\d+)?\}")
NOT_SCRIPTED = Answer(fields=("Cache-Control: no-store",), body=b"the origin was asked in a step that has no answer\n")
NO_CONDITION = Answer(fields=("Cache-Control: no-store",), body=b"the origin was asked without a condition\n")

# What the origin gave in the step of this number: an Answer, its body and its fields, framing left out.
Given = collections.namedtuple("Given", "number answer body fields")


class Play:
    """One row on its way: what was asked and given in each step, and what did not come out as expected."""

    def __init__(self, row, path, host, origin_host, is_ours, turns, random):
        self.row, self.path, self.is_ours = row, path, is_ours
        self.places = {"path": path, "last": path.rpartition("/")[2], "host": host, "origin": origin_host}
        self.number = 0  # of the step, from 1
        self.requests = []  # of (step's number, request)
        self.given = []
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
            answer = NO_CONDITION
        if answer.status in (206, 416) and not request.values("Range"):
            fields = tuple(field for field in answer.fields if not field.startswith("Content-Range:"))
            answer = dataclasses.replace(answer, status=200, fields=fields, body=answer.whole)
        return number, answer

    def gave(self, number, answer, body, fields):
        self.given.append(Given(number, answer, body, fields))
        self.transcript.append(f"    origin gave {answer.status} | " + " | ".join(fields))

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
        await self.wait_until(lambda: any(number == self.number for number, _ in self.requests))
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
                    await self.wait_until(lambda: any(given.number == self.number for given in self.given))
                    await asyncio.sleep(STORED_BY_S)
                for index, response in enumerate(responses[:step.crowd]):
                    self.problems_are(judge.response(self, step, response, index))
            self.problems_are(judge.requests(self, step))
            if self.problems:
                return

    @staticmethod
    async def wait_until(is_so):
        """Or for a while: what did not happen by then is found out by comparing."""
        end = time.monotonic() + BACKGROUND_PATIENCE_S
        while time.monotonic() < end and not is_so():
            await asyncio.sleep(0.02)

    def problems_are(self, texts):
        for text in texts:
            self.problem(text)

    def problem(self, text):
        self.problems.append(f"step {self.number}: {text}")


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
