"""One request for many (RFC 9111 §4, request collapsing)"""
from words import GET, HEAD, LATER_S, optional, ours, required

FRESH = "Cache-Control: max-age=3600"

ROWS = [
    optional("RFC 9111 §4: twenty clients of one URL cause one request", GET.by(20).gives(FRESH, delay_s=0.5).requests(1)),
    optional("RFC 9111 §4: twenty clients of one URL that has run out cause one request",
             GET.gives("Cache-Control: max-age=1"), GET.waits(LATER_S).by(20).gives(FRESH, delay_s=0.5).requests(1)),
    ours("RFC 9111 §4: twenty clients of one URL that has run out cause one request that validates",
         GET.gives("Cache-Control: max-age=1", 'ETag: "a"'),
         GET.waits(LATER_S).by(20).gives(304, FRESH, 'ETag: "a"', delay_s=0.5).requests(1).gets(200, body=b"what step 1 gave\n")),
    optional("RFC 9111 §4: a body in chunks is shared, too", GET.by(20).gives(FRESH, delay_s=0.5, framing="chunked").requests(1)),
    optional("RFC 9111 §4: clients of one variant share", GET.sends("Foo: 1").by(20).gives(FRESH, "Vary: Foo", delay_s=0.5).requests(1)),
    required("RFC 9111 §4: no-store is not shared", GET.by(5).gives("Cache-Control: no-store", delay_s=0.3).requests(5)),
    ours("RFC 9111 §4: what may be shared again is shared again",
         GET.by(5).gives("Cache-Control: no-store", delay_s=0.3).requests(5), GET.gives("Cache-Control: max-age=1"),
         GET.waits(LATER_S).by(5).gives(FRESH, delay_s=0.3).requests(1)),
    required("RFC 9111 §4: private is not shared", GET.by(5).gives("Cache-Control: private, max-age=60", delay_s=0.3).requests(5)),
    required("RFC 9111 §4: no-cache is not shared", GET.by(5).gives("Cache-Control: no-cache", delay_s=0.3).requests(5)),
    required("RFC 9111 §4: Vary: * is not shared", GET.by(5).gives(FRESH, "Vary: *", delay_s=0.3).requests(5)),
    ours("Out of the box: an answer with Set-Cookie is not shared", GET.by(5).gives(FRESH, "Set-Cookie: a=1", delay_s=0.3).requests(5)),
    required("RFC 9111 §3.5: clients with Authorization do not share",
             GET.sends("Authorization: Basic b25l").by(5).gives(FRESH, delay_s=0.3).requests(5)),
    required("RFC 9111 §4.1: clients of different variants who come together each get their own",
             GET.by_each(*(f"Foo: {i % 4}" for i in range(12))).gives(FRESH, "Vary: Foo", delay_s=0.3, echo="Foo")),
    optional("RFC 9111 §4.1: and cause one request for each variant, or a few more",
             GET.by_each(*(f"Foo: {i % 2}" for i in range(16))).gives(FRESH, "Vary: Foo", delay_s=0.3, echo="Foo").requests(2, 4)),
    required("RFC 9111 §3.5: clients of different Authorization who come together each get their own",
             GET.by_each(*(f"Authorization: Basic {i}" for i in range(8))).gives(FRESH, delay_s=0.3, echo="Authorization")),
    ours("Out of the box: clients of different Cookie who come together each get their own",
         GET.by_each(*(f"Cookie: a={i}" for i in range(8))).gives(FRESH, delay_s=0.3, echo="Cookie")),
    ours("RFC 9111 §3.3: what is cut off is cut off for all", GET.by(5).gives(FRESH, framing="cut", delay_s=0.3).cut()),
    ours("RFC 9111 §4: a failure is told to all who wait", GET.by(10).gives(503, delay_s=0.5).gets(503)),
    ours("RFC 9111 §4: an origin that closes is a 502 for all who wait", GET.by(10).fails("drop").gets(502)),
]
