"""Fields: what passes, unchanged, and what is for the next hop only (RFC 9110 §7.6.1, RFC 9111 §3.1)"""
from words import GET, POST, optional, ours, required

FRESH = "Cache-Control: max-age=3600"
PASSED = (
    "Cache-Control: public,   max-age=3600, foo=\"bar, baz\"", "X-Mixed-CASE: Value With  Two Blanks", "x-lower: a,b,  c",
    "Vary: Foo ,Bar", "ETag: W/\"strange !#$\"", "Last-Modified: {now-1000}", "Expires: {now+3600}",
    "Content-Type: application/json; charset=\"utf-8\"", "Content-Language: de", "Content-Disposition: attachment; filename=\"a b\"",
    "Link: </a>; rel=next", "Link: </b>; rel=prev", "Warning: 299 - \"said the origin\"", "Server: one/1 (two)",
    "Via: 1.1 somebody", "X-Empty:", "Content-Security-Policy: default-src 'self'", "Strict-Transport-Security: max-age=1",
    "Access-Control-Allow-Origin: *", "Retry-After: 120", "Accept-Ranges: none", "Allow: GET", "X-Long: " + "v" * 4000,
)

ROWS = [
    ours("Out of the box: the fields of an answer arrive byte for byte", GET.gives(*PASSED).verbatim()),
    ours("Out of the box: from the store, too", GET.gives(*PASSED), GET.hits().verbatim()),
]
ROWS += [
    required(f"RFC 9111 §3.1: {field.partition(':')[0]} is passed on and stored as it is",
             GET.gives(FRESH, field).gets(field), GET.gives(FRESH, field).gets(field))
    for field in ("X-Unknown: a; b=\"c\"", "Content-Type: text/x; y=z", "Content-Language: de, fr", "Link: </a>; rel=next",
                  "Warning: 110 - \"stale\"", "Pragma: no-cache", "X-Frame-Options: DENY", "Content-Location: /elsewhere",
                  "Content-Disposition: inline", "Content-Encoding: br", "Strict-Transport-Security: max-age=1",
                  "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==", "Public-Key-Pins: x", "Refresh: 7",
                  "Clear-Site-Data: \"cache\"", "Location: /other", "Retry-After: 17", "Server: an origin")]
ROWS += [
    required("RFC 9110 §5.3: lines of one name stay in order",
             GET.gives(FRESH, "X-Line: 1", "X-Other: o", "X-Line: 2", "X-Line: 3").verbatim(), GET.hits().verbatim()),
    required("RFC 9110 §5.5: bytes beyond ASCII in a value pass", GET.gives(FRESH, "X-Name: M\xfcller").gets("X-Name: M\xfcller")),
    ours("RFC 9110 §5.4: a head of 30 KB passes",
         GET.gives(FRESH, *(f"X-Long-{i}: {'v' * 1000}" for i in range(30))).verbatim(), GET.hits().verbatim()),
    ours("RFC 9110 §5.4: a head of a hundred fields passes",
         GET.gives(FRESH, *(f"X-Many-{i}: {i}" for i in range(100))).verbatim()),
]
# The next hop's.
ROWS += [
    required(f"RFC 9111 §3.1: {field.partition(':')[0]} is not stored", GET.gives(FRESH, field), GET.gives(FRESH).lacks(field))
    for field in ("Proxy-Authenticate: Basic realm=\"x\"", "Proxy-Authentication-Info: nextnonce=\"x\"")]
ROWS += [
    ours(f"RFC 9110 §7.6.1: {field.partition(':')[0]} of an answer goes no further",
         GET.gives(FRESH, field).lacks(field), GET.gives(FRESH).lacks(field))
    for field in ("Keep-Alive: timeout=5, max=123", "Proxy-Connection: close", "Proxy-Authenticate: Basic realm=\"x\"",
                  "Proxy-Authentication-Info: nextnonce=\"x\"", "Upgrade: frob/1")]
ROWS += [
    required("RFC 9110 §7.6.1: what Connection of an answer names goes no further",
             GET.gives(FRESH, "Connection: X-Hop", "X-Hop: 1", "X-Stays: 1").lacks("X-Hop").gets("X-Stays: 1")),
    required("RFC 9111 §3.1: what Connection of an answer names is not stored",
             GET.gives(FRESH, "Connection: close, x-hOP", "X-Hop: 1"), GET.gives(FRESH).lacks("X-Hop")),
    required("RFC 9110 §7.6.1: the origin's Connection itself goes no further",
             GET.gives(FRESH, "Connection: X-Hop").lacks("Connection: X-Hop")),
]
ROWS += [
    ours(f"RFC 9110 §7.6.1: {field.partition(':')[0]} of a request goes no further",
         GET.sends(field).gives(FRESH).asks().sees_no(field))
    for field in ("Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers, frob;q=0.5",
                  "Proxy-Authorization: Basic eDp5", "Upgrade: frob/1")]
ROWS += [
    required("RFC 9110 §7.6.1: what Connection of a request names goes no further",
             GET.sends("Connection: X-Hop", "X-Hop: 1", "X-Stays: 1").gives(FRESH).asks().sees("X-Stays: 1").sees_no("X-Hop")),
    required("RFC 9110 §7.6.1: a client's Connection itself goes no further",
             GET.sends("Connection: X-Hop").gives(FRESH).asks().sees_no("Connection: X-Hop")),
]
ROWS += [
    required(f"RFC 9110 §7.6: {field.partition(':')[0]} of a request reaches the origin as it is",
             GET.sends(field).gives("Cache-Control: no-store").asks().sees(field))
    for field in ("X-Unknown: a,  b", "Accept: text/html;q=0.5, */*", "Accept-Language: de, en;q=0.5", "User-Agent: me/1 (you)",
                  "Referer: http://a.example/x?y", "Origin: http://a.example", "From: a@b.example", "DNT: 1",
                  "X-Requested-With: x", "Accept-Charset: utf-8", "Priority: u=1", "Traceparent: 00-0af7651916cd43dd-b7ad6b71-01")]
ROWS += [
    required("RFC 9110 §5.3: lines of one name of a request reach the origin",
             GET.sends("X-Line: 1", "X-Line: 2").gives("Cache-Control: no-store").asks().sees("X-Line: 1", "X-Line: 2")),
    required("RFC 9110 §8.6: the fields of a body reach the origin with it",
             POST.sends("Content-Type: text/x", "Content-Language: de", body=b"abc").gives()
             .asks().sees("Content-Type: text/x", "Content-Language: de", body=b"abc")),
]
# What an origin might obey, and is no part of the key.
ROWS += [
    ours(f"RFC 9111 §7.1, poisoning: {field.partition(':')[0]} of a client does not reach the origin",
         GET.sends(field).gives(FRESH).asks().sees_no(field))
    for field in ("X-Forwarded-Host: evil.example", "X-Original-URL: /admin", "X-Rewrite-URL: /admin",
                  "X-HTTP-Method-Override: DELETE", "Forwarded: host=evil.example", "X-Forwarded-Proto: evil")]
