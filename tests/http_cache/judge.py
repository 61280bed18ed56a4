"""Compares what a step expects with what came, on both sides: yields a sentence for each difference."""
from words import BACKGROUND, ORIGIN, STORE


def source_of(play, step):
    """What the origin gave that the client's answer is expected to be, or None."""
    before = [given for given in play.given if given.number < play.number and given.answer.status != 304]
    now = [given for given in play.given if given.number == play.number]
    if step.from_step > 0:
        before = [given for given in before if given.number == step.from_step]
    if step.source in (STORE, BACKGROUND) or step.from_step:
        return before[-1] if before else None
    if not now:
        return None
    fresh = [given for given in now if given.answer.status != 304]
    return fresh[-1] if fresh else before[-1] if before else None


def response(play, step, response, index):
    """The answer to the client of this number in the step."""
    if step.is_cut and response.status in (502, 503, 504):
        return
    if step.is_refusal and not play.is_ours and response.status >= 400:
        return
    source = source_of(play, step)
    yield from status(step, response, source)
    if response.is_whole == step.is_cut:
        yield "the body breaks off" if not response.is_whole else "a body that broke off came as whole"
    yield from body(step, response, source, index)
    yield from fields(play, step, response)
    if step.ages:
        yield from age(step.ages, response)
    if step.is_verbatim and source:
        yield from verbatim(source, response, play.row.kind == "ours")
    if step.is_streamed and response.received - response.body_began < source.answer.pause_s / 2:
        yield "the body came at once"
    if step.expected_interim is not None:
        yield from interim(play, step.expected_interim, response.interim)
    if step.statuses_said:
        yield from cache_status(step.statuses_said, response)


def status(step, response, source):
    expected = step.statuses or ((source.answer.status,) if source else ())
    if expected == (200,) and not step.statuses and any(field.startswith("Range:") for field in step.fields):
        expected = (200, 206, 416)  # the cache may cut what it was given
    if expected and response.status not in expected:
        yield f"status {response.status}, not {' or '.join(map(str, expected))}"
    if step.reason is not None and response.reason != step.reason:
        yield f"the reason is {response.reason!r}"


def body_expected(step, response, source, index):
    """None: any will do."""
    if step.method == "HEAD" or response.status in (204, 304):
        return b""
    if source and source.answer.echo and step.each:
        return step.each[index].partition(":")[2].strip().encode("latin-1")
    if step.expected_body is not None and response.status in (step.statuses or (response.status,))[:1]:
        return step.expected_body
    if step.expected_body is None and source and response.status == source.answer.status:
        return source.body
    return None


def body(step, response, source, index):
    expected = body_expected(step, response, source, index)
    if expected is None:
        return
    if not expected.startswith(response.body) if step.is_cut else response.body != expected:
        yield f"the body is {response.body[:60]!r}, not {expected[:60]!r}"


def fields(play, step, response):
    for expected in step.has:
        if not response.has(play.fill(expected)):
            yield f"no {expected}"
    for name in step.has_not:
        if response.has(play.fill(name)):
            yield f"there is {name}: {', '.join(response.values(name.partition(':')[0]))}"


def age(ages, response):
    found = response.values("Age")
    if len(found) != 1 or not found[0].isdigit() or not ages[0] <= int(found[0]) <= ages[1]:
        yield f"Age is {', '.join(found) or 'absent'}, not {ages[0]} to {ages[1]}"


def verbatim(source, response, to_the_letter):
    """Values and the order of lines of one name; to the letter: the order of all, and the names in their case, too."""
    expected = [tuple(part.strip(" \t") for part in field.split(":", 1)) for field in source.fields]
    wanted = {name.lower() for name, _ in expected}
    found = [(name, value) for name, value in response.fields if name.lower() in wanted]
    if not to_the_letter:
        expected, found = (sorted(((name.lower(), value) for name, value in lines), key=lambda line: line[0])
                           for lines in (expected, found))
    if found != expected:
        yield f"fields came as {found}, not as {expected}"


def interim(play, expected, found):
    if len(expected) != len(found):
        yield f"{len(found)} interim responses, not {len(expected)}"
    for (number, *lines), message in zip(expected, found):
        if message.status != number or not all(message.has(play.fill(line)) for line in lines):
            yield f"interim response {message.line} {message.fields}, not {number} {lines}"


def cache_status(expected, response):
    """The last member is of the cache nearest to the client (RFC 9211 §2)."""
    members = [member.strip() for value in response.values("Cache-Status") for member in value.split(",")]
    parameters = [part.strip() for part in members[-1].split(";")[1:]] if members else []
    known = {*parameters, *(part.split("=")[0] for part in parameters)}
    for word in expected:
        if (word.lstrip("!") in known) == word.startswith("!"):
            yield f"Cache-Status is {', '.join(members) or 'absent'}: {word}"


def requests(play, step):
    """What the origin saw in the step."""
    seen = [request for number, request in play.requests if number == play.number]
    if step.source == STORE and seen:
        yield "the origin was asked"
    if step.source in (ORIGIN, BACKGROUND) and not seen:
        yield "the origin was not asked"
    if step.asks_if_parts_were and not seen and all(request.values("Range") for _, request in play.requests):
        yield "the origin was not asked"
    if step.request_counts and not step.request_counts[0] <= len(seen) <= step.request_counts[1]:
        yield f"the origin was asked {len(seen)} times, not {step.request_counts[0]}"
    for request in seen:
        yield from request_seen(play, step, request)


def request_seen(play, step, request):
    target = request.line.split(" ")[1]
    for expected in step.seen:
        if not request.has(play.fill(expected)):
            yield f"the origin saw no {expected}"
    for name in step.not_seen:
        if request.has(play.fill(name)):
            yield f"the origin saw {name}: {', '.join(request.values(name.partition(':')[0]))}"
    if step.seen_target is not None and not target.endswith(play.path + step.seen_target):
        yield f"the origin saw the target {target}"
    if step.unseen_target is not None and target.endswith(play.path + step.unseen_target):
        yield "the origin was asked for what was smuggled"
    if step.seen_body is not None and request.body != step.seen_body:
        yield f"the origin saw the body {request.body[:60]!r}"
