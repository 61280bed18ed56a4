"""Attacks: requests that two readers might read in two ways are refused, and the origin hears nothing"""
from words import GET, ours, raw, required

FRESH = "Cache-Control: max-age=3600"
POST_HEAD = "POST {path} HTTP/1.1\r\nHost: {host}\r\n"
CHUNKED = POST_HEAD + "Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = "GET {path}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"


def refused(attack, what, data, *statuses, kind=required):
    """Whatever is in `data`, the origin hears nothing of it."""
    return kind(f"Attack {attack}: {what}", raw(data).gives(FRESH).refused(*(statuses or (400,))).requests(0))


ROWS = [
    refused(1, "Content-Length and chunked, the body ends by the length",
            POST_HEAD + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", kind=ours),
    refused(1, "Content-Length and chunked, the body ends by the chunks",
            POST_HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", kind=ours),
    required("Attack 1: behind Content-Length and chunked nothing more is taken for a request",
             raw(POST_HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + SMUGGLED)
             .gives(FRESH).asks_nothing_at("/smuggled")),
    refused(2, "two different lengths", POST_HEAD + f"Content-Length: 0\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n" + SMUGGLED),
    refused(2, "two lengths in one line", POST_HEAD + "Content-Length: 5, 6\r\n\r\nabcdef"),
    refused(2, "a length twice", POST_HEAD + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", kind=ours),
]
ROWS += [refused(3, f"Content-Length: {length or 'nothing'}", POST_HEAD + f"Content-Length: {length}\r\n\r\nabcde")
         for length in ("", "+5", "-5", "0x5", "5_0", "5 5", "5.0", "five", "18446744073709551617", "\x0b5")]
ROWS += [refused(3, "Content-Length: 5,5", POST_HEAD + "Content-Length: 5,5\r\n\r\nabcde", kind=ours)]
ROWS += [refused(4, f"Transfer-Encoding: {coding}", POST_HEAD + f"Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n", 400, 501)
         for coding in ("xchunked", "chunked, gzip", "\x0bchunked", "identity", "gzip")]
ROWS += [refused(4, f"Transfer-Encoding: {coding}", POST_HEAD + f"Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n", 400, 501, kind=ours)
         for coding in ("chunked, chunked", "chunked;a", "\"chunked\"")]
ROWS += [
    refused(4, "Transfer-Encoding: ,chunked", POST_HEAD + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400, 501, kind=ours),
    refused(4, "Transfer-Encoding twice",
            POST_HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400, 501),
    refused(4, "chunked in HTTP/1.0",
            "POST {path} HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", kind=ours),
]
# A body is streamed, so its head may have gone to the origin; but no second request may.
ROWS += [required(f"Attack {attack}: {what}", raw(CHUNKED + body + SMUGGLED).gives(FRESH).asks_nothing_at("/smuggled").refused(400))
         for attack, what, body in (
             (5, "an empty chunk size", "\r\n0\r\n\r\n"),
             (5, "a chunk size with a minus", "-0\r\n\r\n"),
             (5, "a chunk size with 0x", "0x1\r\na\r\n0\r\n\r\n"),
             (5, "a chunk size of 17 digits", "10000000000000000\r\na\r\n0\r\n\r\n"),
             (5, "a chunk size that ends with a line feed", "1\na\r\n0\r\n\r\n"),
             (5, "a line feed in a chunk extension", "1;a\nb\r\na\r\n0\r\n\r\n"),
             (5, "a carriage return in a chunk extension", "1;a\rb\r\na\r\n0\r\n\r\n"),
             (6, "no line end after a chunk", "1\r\nab\r\n0\r\n\r\n"),
             (6, "a chunk longer than its size", "1\r\nabc\r\n0\r\n\r\n"),
         )]
ROWS += [refused(7, what, data, kind=ours) for what, data in (
    ("a bare line feed after the request line", "GET {path} HTTP/1.1\nHost: {host}\r\n\r\n"),
    ("a bare carriage return in a value", "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\rb\r\n\r\n"),
    ("a zero byte in a value", "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\0b\r\n\r\n"),
    ("a zero byte in the target", "GET {path}\0 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a blank in the target", "GET {path} x HTTP/1.1\r\nHost: {host}\r\n\r\n"),
)]
ROWS += [refused(7, what, data, kind=ours) for what, data in (
    ("a bare line feed after a field", "GET {path} HTTP/1.1\r\nHost: {host}\nX: a\r\n\r\n"),
    ("a folded field", "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\r\n b\r\n\r\n"),
    ("a tab in the request line", "GET\t{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
)]
ROWS += [refused(8, what, f"GET {{path}} HTTP/1.1\r\nHost: {{host}}\r\n{line}\r\n\r\n", kind=kind) for kind, what, line in (
    (required, "a blank before the colon", "X : a"), (ours, "an empty field name", ": a"), (ours, "no colon", "Xa"),
    (ours, "a field name beyond ASCII", "X\xe4: a"), (ours, "a blank before a field name", " X: a"),
    (required, "Content-Length with a blank before its colon", "Content-Length : 5"))]
ROWS += [refused(9, what, data) for what, data in (
    ("no Host", "GET {path} HTTP/1.1\r\nX: a\r\n\r\n"),
    ("two Hosts", "GET {path} HTTP/1.1\r\nHost: {host}\r\nHost: other.example\r\n\r\n"),
    ("a Host that is none", "GET {path} HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("a Host with a path", "GET {path} HTTP/1.1\r\nHost: a/b\r\n\r\n"))]
ROWS += [
    refused(9, "a Host that is not the target's", "GET http://one.example{path} HTTP/1.1\r\nHost: two.example\r\n\r\n", kind=ours),
    refused(9, "a target with user information", "GET http://a@one.example{path} HTTP/1.1\r\nHost: one.example\r\n\r\n", kind=ours),
]
ROWS += [refused(10, f"Connection: {name}", f"GET {{path}} HTTP/1.1\r\nHost: {{host}}\r\nConnection: {name}\r\n\r\n", kind=ours)
         for name in ("Host", "Content-Length", "Transfer-Encoding", "Cache-Control", "close, hOST")]
ROWS += [
    refused(11, "a GET with a body", "GET {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc", kind=ours),
    refused(11, "a GET with a chunked body",
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", kind=ours),
    refused(12, "a line of 70 KiB", f"GET {{path}} HTTP/1.1\r\nHost: {{host}}\r\nX: {'v' * 71680}\r\n\r\n", 400, 431, kind=ours),
    refused(12, "1,000 fields",
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"X-{i}: a\r\n" for i in range(1000)) + "\r\n", 400, 431, kind=ours),
    refused(12, "a URL of 70 KiB", f"GET {{path}}?{'q' * 71680} HTTP/1.1\r\nHost: {{host}}\r\n\r\n", 400, 414, kind=ours),
    required("Attack 12: a hundred fields are no attack",
             GET.sends(*(f"X-{i}: a" for i in range(50))).gives(FRESH).asks().gets(200)),
    refused(14, "an expectation that is nearly 100-continue",
            POST_HEAD + "Expect: y 100-continue\r\nContent-Length: 3\r\n\r\nabc", 400, 417, kind=ours),
    ours("Attack 14: 100-continue without a body", raw("POST {path} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n"
         "Content-Length: 0\r\n\r\n").gives().gets(200)),
    refused(7, "what is no request at all", "\x16\x03\x01 {path}\r\n\r\n"),
    refused(7, "a version that is none", "GET {path} HTTP/9.9\r\nHost: {host}\r\n\r\n", 400, 505),
    refused(7, "no version", "GET {path}\r\n\r\n", kind=ours),
]

# Cache correctness as security.
ROWS += [
    required(f"Attack 16: {one} and {two} are two URLs", GET.at(one).gives(FRESH), GET.at(two).gives(FRESH).asks().target(two))
    for one, two in (("?a=1;b=2", "?a=1"), ("?a=1&b=2", "?b=2&a=1"), ("?a=1&a=2", "?a=2"), ("?a=%26", "?a=&"),
                     ("?a=%3d", "?a=="), ("?utm_x=1&a=1", "?a=1"), ("/a%2Fb", "/a/b"), ("/a;x.js", "/a"), ("/x.css", "/x"))]
ROWS += [
    required(f"Attack 17: {suffix} does not make private what is to be kept from others storable",
             GET.at(suffix).gives("Cache-Control: private, max-age=60"), GET.at(suffix).gives("Cache-Control: private").asks())
    for suffix in ("/x.css", ";x.js", "/a.png?x=.css")]
ROWS += [
    ours(f"Attack 17: {suffix} is refused, as it may mean another path", GET.at(suffix).gives(FRESH).gets(400).requests(0))
    for suffix in ("/../account", "/%2e%2e/account", "/a%2f..%2faccount", "/a\\..\\account", "/./a", "/a/..")]
