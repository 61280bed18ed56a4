"""What clients did and saw, and what of it cannot have been: the judge of a run. Knows nothing of servers.

Each write writes a value that no other write has; times are seconds of one monotonic clock. Between the invocation and
the acknowledgement of a write lies the moment at which it happened. A value may have been current from the invocation
of its write until the acknowledgement of the first write that surely came later: one that was invoked after this one
was acknowledged. From that follows what is a violation, never by guessing:

    unknown value    nobody wrote it, or only after it had been read
    stale            when the read began, it had not been current for longer than the bound; a fenced read's bound is 0
    back in time     one client's fenced reads: a value whose write was acknowledged before that of the value seen
                     before was invoked
    own write unseen one client, on one node, reads a value from before its own acknowledged write
    two holders      of one lease at the same time

A write of unknown outcome (its reply was an error, or never came) may have happened at any moment after its invocation,
until all connections that it may have waited in were seen to be drained (`settle`), or not at all. One that was
acknowledged by a primary shortly before it failed may vanish: replication of a Redis cluster is asynchronous, that is
the cluster's documented weakness and no fault of who stands before it. Such writes are not `sure`: they make their own
value possible, and no other's impossible. For the same reason what was read while a deposed primary wakes up and still
believes in itself is not judged by age (`excuse_reads`)."""
import bisect
import math
from dataclasses import dataclass, field

MISSING = None
NEVER = math.inf


@dataclass
class Write:
    key: str
    value: object  # MISSING: a deletion
    invoked: float
    acknowledged: float = NEVER  # NEVER: the outcome is unknown
    sure: bool = True
    lives_s: float = NEVER  # by an expiry that it bears
    who: str = ""
    settled: float = NEVER  # the last moment at which one of unknown outcome may have happened

    def __post_init__(self):
        if self.acknowledged == NEVER:
            self.sure = False


@dataclass
class Read:
    key: str
    value: object
    invoked: float
    returned: float
    who: str = ""
    fenced: bool = False


@dataclass
class Hold:
    """A lease that was taken: surely held from the acknowledgement until it was given back, or its time was over."""
    key: str
    who: str
    invoked: float
    acknowledged: float
    lives_s: float
    released: float = NEVER  # when giving it back was invoked
    sure: bool = True

    @property
    def end(self):
        return min(self.released, self.invoked + self.lives_s)


@dataclass
class Violation:
    kind: str
    text: str

    def __str__(self):
        return f"{self.kind}: {self.text}"


@dataclass
class History:
    writes: list = field(default_factory=list)
    reads: list = field(default_factory=list)
    holds: list = field(default_factory=list)
    doubts: list = field(default_factory=list)  # (concerns a key, from, to): writes of then may vanish
    excuses: list = field(default_factory=list)  # (concerns a key, from, to): reads of then are not judged by age
    settled: list = field(default_factory=list)  # (moment, what was invoked before this has happened by then or never)

    def doubt_writes(self, concerns, since, until):
        """What was under way or acknowledged in that time, of keys that `concerns(key)` is true of, may vanish."""
        self.doubts.append((concerns, since, until))

    def excuse_reads(self, concerns, since, until):
        self.excuses.append((concerns, since, until))

    def settle(self, now, invoked_before):
        self.settled.append((now, invoked_before))

    def extend(self, other):
        for name in ("writes", "reads", "holds", "doubts", "excuses", "settled"):
            getattr(self, name).extend(getattr(other, name))


def touches(windows, key, begin, end):
    return any(begin <= until and end >= since and concerns(key) for concerns, since, until in windows)


class Register:
    """All writes of one key: which values may have been current, and until when."""

    def __init__(self, writes):
        self.writes = {}  # by value
        for write in [Write("", MISSING, -NEVER, -NEVER), *writes]:
            self.writes.setdefault(write.value, []).append(write)
        sure = sorted((write for write in writes if write.sure), key=lambda write: write.invoked)
        self.invocations = [write.invoked for write in sure]
        # The earliest acknowledgement of those from here on, in the order of invocation.
        self.earliest = [NEVER] * (len(sure) + 1)
        for i in range(len(sure) - 1, -1, -1):
            self.earliest[i] = min(sure[i].acknowledged, self.earliest[i + 1])
        # An expiry makes the key missing, if nothing else was written meanwhile.
        for write in writes:
            if write.lives_s != NEVER:
                self.writes[MISSING].append(Write("", MISSING, write.invoked + write.lives_s,
                                                  write.acknowledged + write.lives_s, sure=False))

    def last_moment(self, write):
        """Until when what it wrote may have been current."""
        happened = min(write.acknowledged, write.settled)
        later = bisect.bisect_left(self.invocations, happened)
        return min(self.earliest[later], happened + write.lives_s)

    def staleness(self, read):
        """For how long, at least, what was read had not been current when the read began; None: it is unknown."""
        candidates = [write for write in self.writes.get(read.value, ()) if write.invoked <= read.returned]
        if not candidates:
            return None
        return max(0, read.invoked - max(self.last_moment(write) for write in candidates))

    def surely_before(self, value, afters):
        """Whether `value` was written, each time, before any of the writes `afters` was begun."""
        befores = self.writes.get(value, ())
        return bool(befores and afters) and all(
            after.sure and before.acknowledged < after.invoked for before in befores for after in afters)


@dataclass
class Verdict:
    violations: list
    read_count: int
    write_count: int
    sure_write_count: int
    excused_count: int
    stalest_s: float  # of those that were not fenced
    stalest_fenced_s: float

    def __str__(self):
        lines = [f"{self.read_count} reads ({self.excused_count} of them not judged by age), {self.write_count} writes "
                 f"({self.sure_write_count} of them sure), the stalest read {self.stalest_s * 1000:.0f} ms old, "
                 f"fenced {self.stalest_fenced_s * 1000:.0f} ms"]
        lines += [str(violation) for violation in self.violations[:20]]
        if len(self.violations) > 20:
            lines.append(f"and {len(self.violations) - 20} more")
        return "\n".join(lines)


def check(history, bound_s, slack_s=0.0):
    """`slack_s`: what clocks may differ by: a server looks at its clock once a turn of its loop."""
    violations, by_key = [], {}
    for write in history.writes:
        if write.acknowledged == NEVER:
            write.settled = min((now for now, before in history.settled if write.invoked < before), default=NEVER)
        if write.sure and touches(history.doubts, write.key, write.invoked, write.acknowledged):
            write.sure = False
        by_key.setdefault(write.key, []).append(write)
    registers = {key: Register(writes) for key, writes in by_key.items()}
    excused_count, stalest = 0, {True: 0.0, False: 0.0}
    for read in history.reads:
        register = registers.setdefault(read.key, Register([]))
        staleness_s = register.staleness(read)
        if staleness_s is None:
            violations.append(Violation("unknown value", describe(read)))
        elif touches(history.excuses, read.key, read.invoked, read.returned):
            excused_count += 1
        else:
            stalest[read.fenced] = max(stalest[read.fenced], staleness_s)
            if staleness_s > (0 if read.fenced else bound_s) + slack_s:
                violations.append(Violation("stale", f"by at least {staleness_s * 1000:.0f} ms: {describe(read)}"))
    violations += check_order(history, registers)
    violations += check_own_writes(history, registers)
    violations += check_holders(history)
    sure_count = sum(write.sure for write in history.writes)
    return Verdict(violations, len(history.reads), len(history.writes), sure_count, excused_count, stalest[False],
                   stalest[True])


def check_order(history, registers):
    seen = {}  # the last fenced read of (client, key)
    for read in sorted((read for read in history.reads if read.fenced), key=lambda read: read.invoked):
        before = seen.get((read.who, read.key))
        if before and before.returned <= read.invoked and read.value != before.value and \
                not touches(history.excuses, read.key, before.invoked, read.returned) and \
                registers[read.key].surely_before(read.value, registers[read.key].writes.get(before.value)):
            yield Violation("back in time", f"{describe(read)}; before it {describe(before)}")
        seen[read.who, read.key] = read


def check_own_writes(history, registers):
    events = [(write.acknowledged, write) for write in history.writes if write.sure and write.who]
    events += [(read.invoked, read) for read in history.reads]
    last = {}  # the last sure write of (client, key)
    for _, event in sorted(events, key=lambda event: event[0]):
        if isinstance(event, Write):
            last[event.who, event.key] = event
            continue
        own = last.get((event.who, event.key))
        if own and event.value != own.value and \
                not touches(history.excuses, event.key, own.invoked, event.returned) and \
                registers[event.key].surely_before(event.value, [own]):
            yield Violation("own write unseen", f"of {own.value!r}, acknowledged at {own.acknowledged:.3f}: "
                                                f"{describe(event)}")


def check_holders(history):
    last = {}
    sure = [hold for hold in history.holds
            if hold.sure and not touches(history.doubts, hold.key, hold.invoked, hold.end)]
    for hold in sorted(sure, key=lambda hold: hold.acknowledged):
        before = last.get(hold.key)
        if hold.acknowledged >= hold.end:  # its time was over before it was known
            continue
        if before and hold.acknowledged < before.end:
            yield Violation("two holders", f"of {hold.key}: {before.who} until {before.end:.3f}, "
                                           f"{hold.who} from {hold.acknowledged:.3f}")
        if before is None or hold.end > before.end:
            last[hold.key] = hold


def describe(read):
    return (f"{read.who} read {read.key} = {read.value!r}{', fenced,' if read.fenced else ''} "
            f"at {read.invoked:.3f} to {read.returned:.3f}")
