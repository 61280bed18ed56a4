"""The words that the rows of rows/ are written in.

A row is one rule: what a client sends, what the origin answers if it is asked, and what is expected of the cache
between them. Each row has a URL of its own, so all can be played at the same time.

    required("RFC 9111 §5.2.2.1: what is older than max-age is not reused",
             GET.gives("Cache-Control: max-age=60", "Age: 120").asks(),
             GET.gives("Cache-Control: max-age=60").asks())

Without further words a step expects: the status that was given, a body that is whole and is the one that was given last,
or, where the origin was asked, the one given now. Fields are written as on the wire. In fields, and in URLs and raw
bytes, these stand for what only the run knows:

    {now} {now-60} {now+60}   an HTTP-date, so many seconds off (also as {rfc850:now-60} and {asctime:now-60})
    {path} {last}             the row's own path; the last segment of it
    {host} {origin}           the authority of the cache, as its clients write it; that of the origin

Kinds: `required` is a MUST of RFC 9110, 9111 or 9112, or safety; `optional` is reuse that an RFC allows, or an RFC that a
cache may do without; `ours` is what nuthatch promises beyond both, and is not played against others.
"""
import dataclasses

STORE, ORIGIN, BACKGROUND = "from the store", "from the origin", "from the store, while the origin is asked"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What the origin does when it is asked."""
    status: int = 200
    fields: tuple = ()
    body: bytes | None = None  # a line that names the step, if not said
    reason: str = ""
    framing: str = "length"  # chunked; close; cut: less than Content-Length says; unended: no last chunk; none
    version: str = "1.1"
    interim: tuple = ()  # of (status, fields)
    trailers: tuple = ()
    raw: str = ""  # these bytes instead
    closes: bool = False
    fault: str = ""  # drop, reset, stall or garbage, instead of an answer
    delay_s: float = 0
    pause_s: float = 0  # between the first half of the body and the second
    echo: str = ""  # the body is the value of this field of the request, and each client expects its own
    whole: bytes | None = None  # for a 206 or 416: the body that is given instead where no range is asked for
    has_date: bool = True


@dataclasses.dataclass(frozen=True)
class Step:
    method: str = "GET"
    suffix: str = ""  # of the row's URL
    fields: tuple = ()
    body: bytes | None = None
    version: str = "1.1"
    host: str = "{host}"
    raw: bytes | None = None  # the bytes to send, instead of all these
    pause_s: float = 0
    crowd: int = 1
    each: tuple = ()
    during: "Step | None" = None
    answers: tuple = ()  # the last one stands for all that follow

    source: str = ""
    from_step: int = 0
    statuses: tuple = ()
    has: tuple = ()
    has_not: tuple = ()
    seen: tuple = ()
    not_seen: tuple = ()
    expected_body: bytes | None = None
    expected_interim: tuple | None = None
    ages: tuple = ()
    reason: str | None = None
    is_cut: bool = False
    is_verbatim: bool = False
    is_streamed: bool = False
    request_counts: tuple = ()
    seen_body: bytes | None = None
    seen_target: str | None = None
    unseen_target: str | None = None
    is_refusal: bool = False
    asks_if_parts_were: bool = False
    statuses_said: tuple = ()  # members and parameters of Cache-Status

    def _with(self, **changes):
        return dataclasses.replace(self, **changes)

    # ---- what the client does ----

    def at(self, suffix):
        """Another URL of the row: its path and this."""
        return self._with(suffix=suffix)

    def sends(self, *fields, body=None, host=None, version=None):
        return self._with(fields=self.fields + fields, body=body if body is not None else self.body,
                          host=self.host if host is None else host, version=version or self.version)

    def waits(self, seconds):
        """Really, before it is sent: only where Date and Age cannot say it."""
        return self._with(pause_s=seconds)

    def by(self, count):
        """So many clients send it at the same time; each expects the same."""
        return self._with(crowd=count)

    def by_each(self, *fields):
        """A client for each of these fields, which send it at the same time."""
        return self._with(each=fields, crowd=len(fields))

    def meanwhile(self, step):
        """While this waits for the origin, `step`, of another method, is played from begin to end."""
        return self._with(during=step)

    # ---- what the origin does, if asked ----

    def gives(self, *words, **more):
        """(status, field...), or (field...) for 200; the first call is for the first request, and so on."""
        status, fields = (words[0], words[1:]) if words and isinstance(words[0], int) else (200, words)
        return self._with(answers=self.answers + (Answer(status=status, fields=tuple(fields), **more),))

    def gives_raw(self, data, closes=True):
        """These bytes, whatever they are."""
        return self._with(answers=self.answers + (Answer(raw=data, closes=closes),))

    def fails(self, fault):
        """drop: closes without an answer; reset: the same, rudely; garbage; stall."""
        return self._with(answers=self.answers + (Answer(fault=fault),))

    # ---- what is expected ----

    def hits(self, from_step=0):
        """Answered from the store, and the origin hears nothing of it; with what `from_step` gave."""
        return self._with(source=STORE, from_step=from_step)

    def asks(self):
        """The origin was asked."""
        return self._with(source=ORIGIN)

    def hits_and_asks(self, from_step=0):
        """Answered from the store at once; the origin is asked as well."""
        return self._with(source=BACKGROUND, from_step=from_step)

    def validates(self, *fields, from_step=0):
        """The origin was asked on condition and says 304 with these fields; the stored body is the answer."""
        return self.gives(304, *fields)._with(source=ORIGIN, from_step=from_step)

    def stands_in(self, from_step=0):
        """The origin was asked in vain; the stored answer is given instead."""
        return self._with(source=ORIGIN, from_step=from_step or -1)

    def gets(self, *words, body=None, reason=None):
        """(status or several that will do, field...); a field without a colon must only be there. `body` is that of the
        first status."""
        statuses = tuple(word for word in words if isinstance(word, int))
        fields = tuple(word for word in words if not isinstance(word, int))
        return self._with(statuses=self.statuses + statuses, has=self.has + fields,
                          expected_body=self.expected_body if body is None else body, reason=reason)

    def lacks(self, *names):
        return self._with(has_not=self.has_not + names)

    def aged(self, low, high):
        """Its Age is between these."""
        return self._with(ages=(low, high))

    def verbatim(self):
        """The fields that the origin gave arrive as it gave them: values, and lines of one name in their order; in rows of
        the kind `ours` also the order of all, and the names in their case."""
        return self._with(is_verbatim=True)

    def streams(self):
        """The first half of the body arrived before the origin gave the second."""
        return self._with(is_streamed=True)

    def hears(self, *interim):
        """These interim responses, each (status, field...), came before the final one."""
        return self._with(expected_interim=interim)

    def cut(self):
        """The client can tell that there is no whole answer: the body breaks off, or there is none, or an error."""
        return self._with(is_cut=True)

    def says(self, *words):
        """In Cache-Status: the member of the cache has these parameters."""
        return self._with(statuses_said=self.statuses_said + words)

    def sees(self, *fields, body=None):
        """The origin saw these fields; a name alone must only have been there."""
        return self._with(seen=self.seen + fields, seen_body=body)

    def sees_no(self, *names):
        return self._with(not_seen=self.not_seen + names)

    def target(self, suffix):
        """The origin saw the row's path with this behind it, byte for byte."""
        return self._with(seen_target=suffix)

    def asks_if_parts(self):
        """The origin was asked, unless it was asked for the whole before, as some caches do for a range."""
        return self._with(asks_if_parts_were=True)

    def refused(self, *statuses):
        """With one of these; from others any error will do, and no answer as well."""
        return self._with(statuses=statuses, is_refusal=True)

    def asks_nothing_at(self, suffix):
        """The origin was not asked for this URL of the row, whatever else it was asked."""
        return self._with(unseen_target=suffix)

    def requests(self, count, most=None):
        """The origin was asked so many times in this step; or from `count` to `most` times."""
        return self._with(request_counts=(count, count if most is None else most))


GET, HEAD, POST, PUT, DELETE = (Step(method) for method in ("GET", "HEAD", "POST", "PUT", "DELETE"))


def method(name):
    return Step(name)


def raw(data):
    """The bytes of a request, line ends and all, or of several. {path} must be in it for the origin to know the row."""
    return Step("raw", raw=data.encode("latin-1") if isinstance(data, str) else data)


@dataclasses.dataclass(frozen=True)
class Row:
    kind: str
    name: str
    steps: tuple
    options: tuple = ()  # of the gateway; such rows are not played against others
    subject: str = ""


def required(name, *steps, options=()):
    return Row("required", name, steps, tuple(options))


def optional(name, *steps, options=()):
    return Row("optional", name, steps, tuple(options))


def ours(name, *steps, options=()):
    return Row("ours", name, steps, tuple(options))


LATER_S = 2.2  # in which max-age=1 runs out, also in caches that count whole seconds


def kept(name, *fields, status=200, **more):
    """optional: the answer is used again."""
    return optional(name, GET.gives(status, *fields, **more), GET.hits())


def not_kept(name, *fields, status=200, **more):
    """required: it is not."""
    return required(name, GET.gives(status, *fields, **more), GET.gives(status, *fields, **more).asks())
