"""Validation: conditions of clients, conditions for the origin, and what a 304 changes (RFC 9111 §4.3)"""
from words import GET, HEAD, LATER_S, optional, ours, required

FRESH = "Cache-Control: max-age=3600"
SHORT = "Cache-Control: max-age=1"
MODIFIED = "Last-Modified: {now-86400}"
STORED = GET.gives(FRESH, 'ETag: "a"', MODIFIED)


def condition(name, field, status, kind=optional, stored=STORED):
    """What is stored answers a request with this condition by 304, or with the whole."""
    step = GET.sends(field).hits()
    return kind(name, stored, step.gets(304) if status == 304 else step)


ROWS = [
    condition("RFC 9110 §13.1.2: If-None-Match with the stored ETag", 'If-None-Match: "a"', 304),
    condition("RFC 9110 §13.1.2: If-None-Match with another ETag", 'If-None-Match: "b"', 200),
    condition("RFC 9110 §13.1.2: If-None-Match with a list that has it", 'If-None-Match: "x", "a" , "y"', 304),
    condition("RFC 9110 §13.1.2: If-None-Match with a list that has it not", 'If-None-Match: "x", "y"', 200),
    condition("RFC 9110 §13.1.2: If-None-Match: *", "If-None-Match: *", 304),
    condition("RFC 9110 §8.8.3.2: If-None-Match compares weakly", 'If-None-Match: W/"a"', 304),
    condition("RFC 9110 §8.8.3.2: a weak stored ETag matches a strong one", 'If-None-Match: "w"', 304,
              stored=GET.gives(FRESH, 'ETag: W/"w"')),
    condition("RFC 9110 §8.8.3: ETags are case-sensitive", 'If-None-Match: "A"', 200),
    condition("RFC 9110 §8.8.3: an ETag may hold a comma", 'If-None-Match: "x", "a,b"', 304,
              stored=GET.gives(FRESH, 'ETag: "a,b"')),
    condition("RFC 9110 §8.8.3: half of an ETag with a comma is another", 'If-None-Match: "a"', 200,
              stored=GET.gives(FRESH, 'ETag: "a,b"')),
    condition("RFC 9110 §13.1.2: what is stored without ETag does not match", 'If-None-Match: "a"', 200,
              stored=GET.gives(FRESH)),
    condition("RFC 9110 §13.1.3: If-Modified-Since at Last-Modified", "If-Modified-Since: {now-86400}", 304),
    condition("RFC 9110 §13.1.3: If-Modified-Since after Last-Modified", "If-Modified-Since: {now-3600}", 304),
    condition("RFC 9110 §13.1.3: If-Modified-Since before Last-Modified", "If-Modified-Since: {now-100000}", 200),
    condition("RFC 9110 §13.1.3: If-Modified-Since in the form of RFC 850", "If-Modified-Since: {rfc850:now-3600}", 304),
    condition("RFC 9110 §13.1.3: If-Modified-Since in the form of asctime", "If-Modified-Since: {asctime:now-3600}", 304),
    condition("RFC 9110 §13.1.3: If-Modified-Since that is no date is ignored", "If-Modified-Since: yesterday", 200),
    ours("RFC 9110 §13.1.3: without Last-Modified there is nothing to compare If-Modified-Since with",
         GET.gives(FRESH), GET.sends("If-Modified-Since: {now-86400}").hits()),
    optional("RFC 9110 §13.1.3: If-None-Match is preferred to If-Modified-Since: it matches",
             STORED, GET.sends('If-None-Match: "a"', "If-Modified-Since: {now-100000}").hits().gets(304)),
    required("RFC 9110 §13.1.3: If-None-Match is preferred to If-Modified-Since: it does not match",
             STORED, GET.sends('If-None-Match: "b"', "If-Modified-Since: {now}").gives(FRESH).gets(200)),
    optional("RFC 9110 §15.4.5: a 304 has the fields that a cache is updated by",
             GET.gives(FRESH, 'ETag: "a"', "Expires: {now+3600}", "Vary: Foo", "Content-Location: {path}/x"),
             GET.sends('If-None-Match: "a"').hits()
             .gets(304, FRESH, 'ETag: "a"', "Expires: {now+3600}", "Vary: Foo", "Content-Location: {path}/x", "Date")),
    optional("RFC 9111 §5.1: a 304 from the store has an Age",
             GET.gives(FRESH, 'ETag: "a"', "Age: 100"), GET.sends('If-None-Match: "a"').hits().gets(304).aged(100, 110)),
    optional("RFC 9110 §13.1.2: a HEAD with the stored ETag is a 304",
             STORED, HEAD.sends('If-None-Match: "a"').hits().gets(304)),
    required("RFC 6265 §3: a 304 gives nobody another's Set-Cookie",
             GET.gives("Cache-Control: public, max-age=3600", 'ETag: "a"', "Set-Cookie: who=first"),
             GET.sends('If-None-Match: "a"').gives(304, FRESH).lacks("Set-Cookie")),
    ours("RFC 9110 §13.2.1: conditions on what is not a 200 count for nothing",
         GET.gives(404, FRESH, 'ETag: "a"'), GET.sends('If-None-Match: "a"').hits().gets(404)),
    ours("RFC 9110 §13.1.1: If-Match is the origin's to decide",
             STORED, GET.sends('If-Match: "b"').gives(412, FRESH).asks().sees('If-Match: "b"').gets(412)),
    ours("RFC 9110 §13.1.4: If-Unmodified-Since is the origin's to decide",
             STORED, GET.sends("If-Unmodified-Since: {now-100000}").gives(412, FRESH).asks().gets(412)),
    required("RFC 9110 §13.1.2: a condition that finds nothing stored gets what the origin says",
             GET.sends('If-None-Match: "a"').gives(FRESH, 'ETag: "b"').gets(200)),
    required("RFC 9110 §15.4.5: a client's 304 is not stored as the answer for others",
             GET.sends('If-None-Match: "a"').gives(304, FRESH, 'ETag: "a"').gets(304, 200),
             GET.gives(FRESH).asks().gets(200)),

    optional("RFC 9111 §4.3.1: what is stale is validated by its ETag",
             GET.gives(SHORT, 'ETag: "a"'),
             GET.waits(LATER_S).validates(SHORT, 'ETag: "a"').sees('If-None-Match: "a"')),
    optional("RFC 9111 §4.3.1: what is stale is validated by its Last-Modified",
             GET.gives(SHORT, MODIFIED),
             GET.waits(LATER_S).validates(SHORT, MODIFIED).sees("If-Modified-Since: {now-86400}")),
    optional("RFC 9111 §4.3.1: both are sent where both are stored",
             GET.gives(SHORT, 'ETag: "a"', MODIFIED),
             GET.waits(LATER_S).validates(SHORT, 'ETag: "a"').sees('If-None-Match: "a"', "If-Modified-Since: {now-86400}")),
    optional("RFC 9111 §4.3.1: a weak ETag validates, too",
             GET.gives(SHORT, 'ETag: W/"a"'),
             GET.waits(LATER_S).validates(SHORT, 'ETag: W/"a"').sees('If-None-Match: W/"a"')),
    required("RFC 9111 §4.3.1: without a validator no condition is made up",
             GET.gives(SHORT), GET.waits(LATER_S).gives(FRESH).asks().sees_no("If-None-Match", "If-Modified-Since")),
    optional("RFC 9111 §4.3.4: a 304 makes what is stored fresh again",
             GET.gives(SHORT, 'ETag: "a"'), GET.waits(LATER_S).validates(FRESH, 'ETag: "a"'), GET.hits(1)),
    optional("RFC 9111 §4.3.4: a 304 without ETag does so, too",
             GET.gives(SHORT, 'ETag: "a"'), GET.waits(LATER_S).validates(FRESH), GET.hits(1)),
    optional("RFC 9111 §4.3.4: a 304 to If-Modified-Since does so, too",
             GET.gives(SHORT, MODIFIED), GET.waits(LATER_S).validates(FRESH, MODIFIED), GET.hits(1)),
    required("RFC 9111 §4.2.3: after a 304 the Age begins anew",
             GET.gives("Cache-Control: max-age=1001", "Age: 1000", 'ETag: "a"'),
             GET.waits(LATER_S).validates(FRESH, 'ETag: "a"'), GET.hits(1).aged(0, 60)),
    required("RFC 9111 §4.3.3: a 200 replaces what is stored",
             GET.gives(SHORT, 'ETag: "a"'), GET.waits(LATER_S).gives(FRESH, 'ETag: "b"').asks().gets('ETag: "b"'),
             GET.gives(FRESH).gets('ETag: "b"', body=b"what step 2 gave\n")),
    required("RFC 9111 §4.3.3: a 500 is not the answer from then on",
             GET.gives(SHORT, 'ETag: "a"'), GET.waits(LATER_S).gives(500).asks().gets(200, 500),
             GET.gives(FRESH, 'ETag: "b"').gets(200)),
    ours("RFC 9111 §4.3.3: a 500 leaves what is stored, to be validated",
         GET.gives(SHORT, 'ETag: "a"'), GET.waits(LATER_S).gives(500).asks().gets(500),
         GET.validates(SHORT, 'ETag: "a"', from_step=1).sees('If-None-Match: "a"').gets(200)),
    required("RFC 9111 §3.2: a 304 to a client's own condition confirms only what that client has",
             GET.gives(SHORT, 'ETag: "a"'),
             GET.waits(LATER_S).sends('If-None-Match: "b"').gives(304, FRESH, 'ETag: "b"').gives(FRESH, 'ETag: "b"')
             .asks().gets(200, 304, 'ETag: "b"'),
             GET.gives(FRESH, 'ETag: "b"').gets(200, 'ETag: "b"')),
    required("RFC 9111 §4.3.4: a 304 with another strong ETag says nothing of what is stored",
             GET.gives(SHORT, 'ETag: "a"'),
             GET.waits(LATER_S).gives(304, FRESH, 'ETag: "b"').gives(FRESH, 'ETag: "b"', body=b"new\n")
             .asks().gets(200, 'ETag: "b"', body=b"new\n")),
    optional("RFC 9111 §4.3.1: a client's condition on what is stale is answered once the origin agrees",
             GET.gives(SHORT, 'ETag: "a"'),
             GET.waits(LATER_S).sends('If-None-Match: "a"').validates(FRESH, 'ETag: "a"').gets(304),
             GET.hits(1)),
    required("RFC 9111 §4.3.3: a client's condition on what has changed gets the new",
             GET.gives(SHORT, 'ETag: "a"'),
             GET.waits(LATER_S).sends('If-None-Match: "a"').gives(FRESH, 'ETag: "b"').asks().gets(200, 'ETag: "b"')),
]

# RFC 9111 §3.2: a 304 updates what is stored with each of its fields, but some.
ROWS += [
    required(f"RFC 9111 §3.2: a 304 updates {name}",
             GET.gives(SHORT, 'ETag: "a"', f"{name}: {old}"),
             GET.waits(LATER_S).validates(FRESH, 'ETag: "a"', f"{name}: {new}").gets(f"{name}: {new}"),
             GET.hits(1).gets(f"{name}: {new}").lacks(f"{name}: {old}"))
    for name, old, new in (
        ("X-Unknown", "1", "2"), ("Expires", "{now-10}", "{now+7200}"), ("Content-Language", "de", "fr"),
        ("Content-Location", "/one", "/two"), ("Link", "</one>; rel=next", "</two>; rel=next"),
        ("Access-Control-Allow-Origin", "http://a.example", "http://b.example"), ("Server", "one", "two"))]
ROWS += [
    required(f"RFC 9111 §3.2: a 304 leaves {name}",
             GET.gives(SHORT, 'ETag: "a"', *((f"{name}: {old}",) if old else ())),
             GET.waits(LATER_S).validates(FRESH, 'ETag: "a"', f"{name}: {new}").lacks(f"{name}: {new}"),
             GET.hits(1).lacks(f"{name}: {new}"))
    for name, old, new in (("Content-Length", "", "3"), ("Content-Encoding", "br", "zstd"),
                           ("Content-Range", "", "bytes 0-1/5"), ("Keep-Alive", "", "timeout=7"))]
ROWS += [
    required("RFC 9111 §3.2: a 304 updates Cache-Control",
             GET.gives(SHORT, 'ETag: "a"'), GET.waits(LATER_S).validates(FRESH, 'ETag: "a"').gets(FRESH).lacks(SHORT)),
    required("RFC 9111 §3.2: a 304 updates Date",
             GET.gives(SHORT, 'ETag: "a"', "Date: {now-1000}"),
             GET.waits(LATER_S).validates(FRESH, 'ETag: "a"', "Date: {now}").gets("Date: {now}")),
    required("RFC 9111 §3.2: fields that a 304 does not have stay",
             GET.gives(SHORT, 'ETag: "a"', "X-Kept: yes", "Content-Type: text/x"),
             GET.waits(LATER_S).validates(FRESH, 'ETag: "a"').gets("X-Kept: yes", "Content-Type: text/x")),
    required("RFC 9111 §3.2: a field of two lines is replaced as a whole",
             GET.gives(SHORT, 'ETag: "a"', "X-Two: 1", "X-Two: 2"),
             GET.waits(LATER_S).validates(FRESH, 'ETag: "a"', "X-Two: 3").gets("X-Two: 3").lacks("X-Two: 1", "X-Two: 2")),
    required("RFC 9111 §4.3.4: a 304 that says no-store does not make fresh",
             GET.gives(SHORT, 'ETag: "a"'), GET.waits(LATER_S).validates("Cache-Control: no-store", 'ETag: "a"'),
             GET.gives(FRESH).asks()),

    ours("RFC 9111 §4.3.5: a HEAD that shows another ETag makes what is stored stale",
         GET.gives(FRESH, 'ETag: "a"', body=b"12345"),
         HEAD.sends("Cache-Control: no-cache").gives(FRESH, 'ETag: "b"', body=b"12345").asks(),
         GET.gives(FRESH, 'ETag: "b"', body=b"54321").asks()),
    ours("RFC 9111 §4.3.5: a HEAD that shows another length makes what is stored stale",
         GET.gives(FRESH, body=b"12345"),
         HEAD.sends("Cache-Control: no-cache").gives(FRESH, body=b"123456").asks(),
         GET.gives(FRESH, body=b"123456").asks()),
    required("RFC 9111 §4.3.5: the length of a HEAD does not become that of what is stored",
             GET.gives(FRESH, body=b"12345"),
             HEAD.sends("Cache-Control: no-cache").gives(FRESH, body=b"123456"),
             GET.gives(FRESH, body=b"12345").gets(200)),
    ours("RFC 9111 §4.3.5: a HEAD that shows no change updates what is stored",
         GET.gives(FRESH, 'ETag: "a"', "X-Test: 1", body=b"12345"),
         HEAD.sends("Cache-Control: no-cache").gives(FRESH, 'ETag: "a"', "X-Test: 2", body=b"12345").asks(),
         GET.hits(1).gets("X-Test: 2")),
    required("RFC 9110 §8.8.3: an ETag arrives as it was sent, also a strange one",
             GET.gives(FRESH, "ETag: not-quoted"), GET.hits().verbatim()),
]
