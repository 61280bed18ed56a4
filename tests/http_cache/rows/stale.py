"""Stale answers: while the origin is asked again, and when it fails (RFC 9111 §4.2.4, RFC 5861)"""
from words import GET, LATER_S, optional, ours, required

SHORT = "Cache-Control: max-age=1"
FRESH = "Cache-Control: max-age=3600"
WHILE = "Cache-Control: max-age=1, stale-while-revalidate=600"
ON_ERROR = "Cache-Control: max-age=1, stale-if-error=600"

ROWS = [
    optional("RFC 5861 §3: stale-while-revalidate answers at once and asks",
             GET.gives(WHILE), GET.waits(LATER_S).gives(FRESH).hits_and_asks(1)),
    optional("RFC 5861 §3: what was asked for in the background is what comes next",
             GET.gives(WHILE), GET.waits(LATER_S).gives(FRESH).hits_and_asks(1), GET.hits(2)),
    optional("RFC 5861 §3: in the background the origin is asked on condition",
             GET.gives(WHILE, 'ETag: "a"'),
             GET.waits(LATER_S).validates(FRESH, 'ETag: "a"').hits_and_asks(1).sees('If-None-Match: "a"'),
             GET.hits(1)),
    optional("RFC 5861 §3: what stale-while-revalidate gives has its whole Age",
             GET.gives("Cache-Control: max-age=101, stale-while-revalidate=600", "Age: 100"),
             GET.waits(LATER_S).gives(FRESH).hits_and_asks(1).aged(101, 110)),
    required("RFC 5861 §3: not longer than it says",
             GET.gives("Cache-Control: max-age=1, stale-while-revalidate=1"),
             GET.waits(2 * LATER_S).gives(FRESH).asks()),
    required("RFC 5861 §3: the time counts from when it became stale",
             GET.gives("Cache-Control: max-age=10, stale-while-revalidate=10", "Age: 30"), GET.gives(FRESH).asks()),
    ours("RFC 9111 §5.2.2.2: must-revalidate outweighs stale-while-revalidate",
         GET.gives(WHILE + ", must-revalidate"), GET.waits(LATER_S).gives(FRESH).asks()),
    ours("RFC 9111 §5.2.2.4: no-cache outweighs stale-while-revalidate",
         GET.gives("Cache-Control: no-cache, max-age=3600, stale-while-revalidate=600", 'ETag: "a"'),
         GET.gives(FRESH).asks()),
    optional("RFC 9111 §5.2.1.4: a client's no-cache is not given stale",
             GET.gives(WHILE), GET.waits(LATER_S).sends("Cache-Control: no-cache").gives(FRESH).asks()),
    optional("RFC 5861 §3: a failure in the background leaves what is stored",
             GET.gives(WHILE), GET.waits(LATER_S).gives(503).hits_and_asks(1), GET.gives(FRESH).gets(body=b"what step 1 gave\n")),
    ours("RFC 5861 §3: many who come at once cause one request",
         GET.gives(WHILE), GET.waits(LATER_S).by(20).gives(FRESH, delay_s=1).hits_and_asks(1).requests(1)),
    required("RFC 9111 §4.2.4: what is stale is not given as long as the origin answers",
             GET.gives(SHORT), GET.waits(LATER_S).gives(FRESH).asks()),
]
ROWS += [
    optional(f"RFC 5861 §4: stale-if-error stands in for a {status}",
             GET.gives(ON_ERROR), GET.waits(LATER_S).gives(status).stands_in(1))
    for status in (500, 502, 503, 504)]
ROWS += [
    required(f"RFC 5861 §4: stale-if-error does not stand in for a {status}",
             GET.gives(ON_ERROR), GET.waits(LATER_S).gives(status).asks().gets(status))
    for status in (400, 404, 410, 429)]
ROWS += [
    required("RFC 5861 §4: not longer than it says",
             GET.gives("Cache-Control: max-age=1, stale-if-error=1"), GET.waits(2 * LATER_S).gives(503).asks().gets(503)),
    ours("RFC 9111 §4.2.4: a 500 without stale-if-error comes through",
         GET.gives(SHORT), GET.waits(LATER_S).gives(500).asks().gets(500)),
    ours("RFC 5861 §4: stale-if-error=0 lets nothing stand in",
         GET.gives("Cache-Control: max-age=1, stale-if-error=0"), GET.waits(LATER_S).gives(503).asks().gets(503)),
]
ROWS += [
    optional(f"RFC 9111 §4.2.4: what is stale stands in for an origin that {what}",
             GET.gives(SHORT), GET.waits(LATER_S).fails(fault).stands_in(1))
    for what, fault in (("closes without an answer", "drop"), ("resets the connection", "reset"),
                        ("says what is not HTTP", "garbage"))]
ROWS += [
    optional(f"RFC 5861 §4: stale-if-error stands in for an origin that {what}",
             GET.gives(ON_ERROR), GET.waits(LATER_S).fails(fault).stands_in(1))
    for what, fault in (("closes without an answer", "drop"), ("resets the connection", "reset"),
                        ("says what is not HTTP", "garbage"))]
ROWS += [
    ours("Out of the box: what is stale stands in for an origin that falls silent",
         GET.gives(SHORT), GET.waits(LATER_S).fails("stall").stands_in(1), options=("--first-byte-timeout", "500ms")),
    ours("RFC 9211 §2: what stands in is marked",
         GET.gives(ON_ERROR), GET.waits(LATER_S).gives(503).stands_in(1).says("fwd=stale", "ttl", "detail")),
    optional("RFC 9111 §5.1: what stands in has its whole Age",
             GET.gives("Cache-Control: max-age=101, stale-if-error=600", "Age: 100"),
             GET.waits(LATER_S).gives(503).stands_in(1).aged(101, 110)),
]
ROWS += [
    required(f"RFC 9111 §4.2.4: {directive} forbids to stand in for a failure",
             GET.gives(f"Cache-Control: {control}"), GET.waits(LATER_S).fails("drop").asks().gets(502, 503, 504))
    for directive, control in (("must-revalidate", "max-age=1, must-revalidate"),
                               ("proxy-revalidate", "max-age=1, proxy-revalidate"), ("s-maxage", "s-maxage=1"))]
ROWS += [
    required("RFC 9111 §4.2.4: no-cache forbids to stand in for a failure",
             GET.gives("Cache-Control: no-cache, max-age=3600"), GET.fails("drop").asks().gets(502, 503, 504)),
    required("RFC 9111 §5.2.2.2: must-revalidate outweighs stale-if-error",
             GET.gives(ON_ERROR + ", must-revalidate"), GET.waits(LATER_S).gives(503).asks().gets(502, 503, 504)),
    ours("RFC 9110 §15.6.3: without anything stored an origin that closes is a 502",
         GET.fails("drop").gets(502)),
    ours("RFC 9110 §15.6.3: without anything stored an origin that says what is not HTTP is a 502",
         GET.fails("garbage").gets(502)),
    ours("RFC 9110 §15.6.5: without anything stored an origin that falls silent is a 504",
         GET.fails("stall").gets(504), options=("--first-byte-timeout", "500ms")),
]
