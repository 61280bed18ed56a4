"""What may be stored: statuses, directives, credentials, cookies (RFC 9111 §3)"""
from words import GET, HEAD, POST, kept, method, not_kept, optional, ours, required

FRESH = "Cache-Control: max-age=3600"
# 206, 304 and 416 are of requests that say more; they are elsewhere.
STATUSES = (200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 418, 421, 451, 499, 500, 501,
            502, 503, 504, 599)

ROWS = [kept(f"RFC 9111 §3: a {status} with explicit freshness is stored", FRESH, status=status) for status in STATUSES]
ROWS += [kept(f"RFC 9111 §3: a {status} with Expires is stored", "Expires: {now+3600}", status=status)
         for status in (204, 303, 404, 500)]
ROWS += [
    required(f"RFC 9110 §15: a {status} passes through", GET.gives(status, "Cache-Control: no-store").asks())
    for status in (201, 299, 399, 401, 403, 418, 499, 500, 511, 599)]
ROWS += [
    ours(f"Out of the box: a {status} passes through with its own reason",
         GET.gives(status, "Cache-Control: no-store", reason="Made Up").gets(status, reason="Made Up").asks())
    for status in (200, 299, 404, 599)]
ROWS += [
    ours("Out of the box: a 999 passes through with its reason",
         GET.gives(999, "Cache-Control: no-store", reason="Made Up").gets(999, reason="Made Up").asks()),
    ours("RFC 9112 §4: an empty reason stays empty",
         GET.gives(200, "Cache-Control: no-store", reason=" ").gets(200, reason="")),
    ours("Out of the box: a 600 passes through",
         GET.gives(600, "Cache-Control: no-store").gets(600).asks()),
    ours("Out of the box: a stored 404 keeps its own reason",
             GET.gives(404, FRESH, reason="Nobody Home"), GET.hits().gets(404, reason="Nobody Home")),

    not_kept("RFC 9111 §5.2.2.5: no-store", "Cache-Control: no-store"),
    not_kept("RFC 9111 §5.2.2.5: no-store is stronger than max-age", "Cache-Control: no-store, max-age=3600"),
    not_kept("RFC 9111 §5.2.2.5: no-store is stronger than Expires", "Cache-Control: no-store", "Expires: {now+3600}"),
    not_kept("RFC 9111 §5.2.2.5: no-store in a line of its own", FRESH, "Cache-Control: no-store"),
    not_kept("RFC 9111 §5.2: no-store in capitals", "Cache-Control: No-Store, max-age=3600"),
    not_kept("RFC 9111 §5.2.2.7: private", "Cache-Control: private, max-age=3600"),
    not_kept("RFC 9111 §5.2.2.7: private is stronger than s-maxage", "Cache-Control: s-maxage=3600, private"),
    not_kept("RFC 9111 §5.2.2.4: no-cache is not reused unasked", "Cache-Control: no-cache, max-age=3600"),
    not_kept("RFC 9111 §5.2.2.4: no-cache is stronger than s-maxage", "Cache-Control: no-cache, s-maxage=3600"),
    not_kept("RFC 9111 §5.2.2.4: no-cache in capitals", "Cache-Control: NO-CACHE, max-age=3600"),
    optional("RFC 9111 §5.2.2.4: no-cache is stored and used once the origin agrees",
             GET.gives("Cache-Control: no-cache", 'ETag: "a"'),
             GET.validates('ETag: "a"').sees('If-None-Match: "a"')),
    optional("RFC 9111 §5.2.2.4: no-cache and max-age: each use is agreed upon",
             GET.gives("Cache-Control: no-cache, max-age=3600", 'ETag: "a"'),
             GET.validates('ETag: "a"'), GET.validates('ETag: "a"')),
    required("RFC 9111 §5.2.2.4: a field that no-cache names is not given from the store unasked",
             GET.gives('Cache-Control: max-age=3600, no-cache="X-Secret"', "X-Secret: one"),
             GET.gives('Cache-Control: max-age=3600, no-cache="X-Secret"').lacks("X-Secret: one")),
    required("RFC 9111 §5.2.2.7: a field that private names is not given to another",
             GET.gives('Cache-Control: max-age=3600, private="X-Secret"', "X-Secret: one"),
             GET.gives('Cache-Control: max-age=3600, private="X-Secret"').lacks("X-Secret: one")),
    kept("RFC 9111 §5.2.2.9: public and max-age", "Cache-Control: public, max-age=3600"),
    kept("RFC 8246 §2: immutable is no obstacle", "Cache-Control: max-age=3600, immutable"),
    not_kept("RFC 8246 §2: immutable makes nothing fresh", "Cache-Control: immutable, max-age=0"),
    kept("RFC 9111 §5.2.2.6: no-transform is no obstacle", "Cache-Control: max-age=3600, no-transform"),
    kept("RFC 9111 §5.2.2.2: must-revalidate is no obstacle to what is fresh", "Cache-Control: max-age=3600, must-revalidate"),
    kept("RFC 9111 §5.2.2.8: proxy-revalidate is no obstacle to what is fresh", "Cache-Control: max-age=3600, proxy-revalidate"),
    kept("RFC 9111 §5.2.2.3: must-understand outweighs no-store where the status is understood",
         "Cache-Control: max-age=3600, no-store, must-understand"),
    optional("RFC 9111 §5.2.2.3: must-understand keeps a status that nobody knows out",
             GET.gives(299, "Cache-Control: max-age=3600, must-understand"), GET.gives(FRESH).asks()),
    not_kept("RFC 9111 §5.2.2.3: must-understand and no-store keep a status that nobody knows out",
             "Cache-Control: max-age=3600, no-store, must-understand", status=299),
    kept("RFC 9111 §5.4: Pragma in a response means nothing", FRESH, "Pragma: no-cache"),

    required("RFC 9111 §3.5: an answer to Authorization is not given to others",
             GET.sends("Authorization: Basic b25l").gives(FRESH), GET.gives(FRESH).asks()),
    required("RFC 9111 §3.5: an answer to Authorization is not given to another Authorization",
             GET.sends("Authorization: Basic b25l").gives(FRESH),
             GET.sends("Authorization: Basic dHdv").gives(FRESH).asks()),
    ours("RFC 9111 §3.5: what was stored without Authorization is not used with it, unless it says so",
         GET.gives(FRESH), GET.sends("Authorization: Basic b25l").gives(FRESH).asks()),
    required("RFC 9110 §11.6.2: Authorization reaches the origin",
             GET.sends("Authorization: Basic b25l").gives("Cache-Control: no-store").asks()
             .sees("Authorization: Basic b25l")),
    required("RFC 9111 §3.5: Expires gives no permission",
             GET.sends("Authorization: Basic b25l").gives("Expires: {now+3600}"), GET.gives().asks()),
]
ROWS += [
    optional(f"RFC 9111 §3.5: {permission} permits to share the answer to Authorization",
             GET.sends("Authorization: Basic b25l").gives(f"Cache-Control: {permission}"),
             GET.sends("Authorization: Basic dHdv").hits(), GET.hits())
    for permission in ("max-age=3600, public", "s-maxage=3600", "max-age=3600, must-revalidate")]

ROWS += [
    ours("Out of the box: an answer with Set-Cookie is not stored",
         GET.gives(FRESH, "Set-Cookie: a=1"), GET.gives(FRESH).asks()),
    ours("Out of the box: an answer with Set-Cookie and Expires is not stored",
         GET.gives("Expires: {now+3600}", "Set-Cookie: a=1"), GET.gives(FRESH).asks()),
    required("RFC 6265 §3: several Set-Cookie stay apart and in order",
             GET.gives("Cache-Control: no-store", "Set-Cookie: a=1, b", "Set-Cookie: c=2; Path=/; HttpOnly").verbatim()),
    ours("Out of the box: Set-Cookie keeps its place among the fields",
         GET.gives("Cache-Control: no-store", "Set-Cookie: a=1", "X-Between: 1", "Set-Cookie: b=2", "X-After: 1").verbatim()),
    ours("Out of the box: Set-Cookie on a stored answer is the first client's alone",
         GET.gives("Cache-Control: public, max-age=3600", "Set-Cookie: a=1").gets("Set-Cookie: a=1"),
         GET.hits().lacks("Set-Cookie")),
    ours("Out of the box: an answer to a Cookie is not shared",
         GET.sends("Cookie: a=1").gives(FRESH).asks(), GET.sends("Cookie: a=2").gives(FRESH).asks()),
    required("RFC 6265 §5.4: Cookie reaches the origin as it is",
             GET.sends("Cookie: a=1; b=\"2\"").gives("Cache-Control: no-store").asks().sees("Cookie: a=1; b=\"2\"")),

    optional("RFC 9110 §9.3.2: a HEAD is answered from a stored GET", GET.gives(FRESH), HEAD.hits()),
    required("RFC 9110 §9.3.2: the answer to a HEAD is not given to a GET",
             HEAD.gives(FRESH, body=b"12345"), GET.gives(FRESH, body=b"12345").gets(200, body=b"12345")),
    required("RFC 9110 §9.3.2: a HEAD from the store says how long the GET's body is",
             GET.gives(FRESH, body=b"x" * 123), HEAD.hits().gets("Content-Length: 123")),
    required("RFC 9111 §3: the answer to a POST that does not say so is not given to a GET",
             POST.sends(body=b"a").gives(), GET.gives().asks()),
    required("RFC 9110 §9.3.3: the answer to a POST is not given to a POST",
             POST.sends(body=b"a").gives(FRESH), POST.sends(body=b"a").gives(FRESH).asks()),
    required("RFC 9110 §9.3.3: a POST is not answered from a stored GET",
             GET.gives(FRESH), POST.sends(body=b"a").gives().asks()),
    required("RFC 9111 §3: the answer to an unknown method is not given to a GET",
             method("FROBNICATE").gives(FRESH), GET.gives(FRESH).asks()),
    required("RFC 9110 §9.3.7: the answer to OPTIONS is not stored",
             method("OPTIONS").gives(FRESH), method("OPTIONS").gives(FRESH).asks()),
    required("RFC 9111 §2: another query is another URL",
             GET.at("?a=1").gives(FRESH), GET.at("?a=2").gives(FRESH).asks()),
    required("RFC 9111 §2: a query is part of the URL, also an empty one",
             GET.gives(FRESH), GET.at("?").gives(FRESH).asks()),
    required("RFC 9110 §4.2.3: paths are case-sensitive",
             GET.at("/a").gives(FRESH), GET.at("/A").gives(FRESH).asks()),
    required("RFC 9111 §3.3: a body that Content-Length says is longer is not stored",
             GET.gives(FRESH, framing="cut").cut(), GET.gives(FRESH).asks()),
    required("RFC 9111 §3.3: a chunked body without its last chunk is not stored",
             GET.gives(FRESH, framing="unended").cut(), GET.gives(FRESH).asks()),
    kept("RFC 9112 §6.3: a body that ends with the connection is whole", FRESH, framing="close"),
    kept("RFC 9112 §7.1: a chunked body is stored", FRESH, framing="chunked"),
    kept("RFC 9111 §3: an empty body is stored", FRESH, body=b""),
    kept("RFC 9111 §3: a body of 1 MB is stored", FRESH, body=b"0123456789abcdef" * 65536),
    kept("RFC 9111 §3: an answer in HTTP/1.0 with Expires is stored", "Expires: {now+3600}", version="1.0"),
]
