"""Attacks: requests that two readers might read in two ways are refused, and the origin hears nothing"""
from words import GET, ours, raw, required

FRESH = "Cache-Control: max-age=3600"
POST_HEAD = "POST {path} HTTP/1.1\r\nHost: {host}\r\n"
CHUNKED = POST_HEAD + "Transfer-Encoding: chunked\r\n\r\n"
SMUGGLING, MALFORMED, HOST = "RFC 9112 §11.2, smuggling", "RFC 9112 §2.2, malformed", "RFC 9112 §3.2, Host"
CONNECTION, BODY, EXPECT = "RFC 9110 §7.6.1, Connection", "RFC 9110 §9.3.1, GET", "RFC 9110 §10.1.1, Expect"
LARGE, POISONING, DECEPTION = "RFC 6585 §5, large", "RFC 9111 §7.1, poisoning", "RFC 9111 §7.1, deception"
SMUGGLED = "GET {path}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"


def refused(attack, what, data, *statuses, kind=required):
    """Whatever is in `data`, the origin hears nothing of it."""
    return kind(f"{attack}: {what}", raw(data).gives(FRESH).refused(*(statuses or (400,))).requests(0))


ROWS = [
    refused(SMUGGLING, "Content-Length and chunked, the body ends by the length",
            POST_HEAD + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", kind=ours),
    refused(SMUGGLING, "Content-Length and chunked, the body ends by the chunks",
            POST_HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", kind=ours),
    required(f"{SMUGGLING}: behind Content-Length and chunked nothing more is taken for a request",
             raw(POST_HEAD + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + SMUGGLED)
             .gives(FRESH).asks_nothing_at("/smuggled")),
    refused(SMUGGLING, "two different lengths", POST_HEAD + f"Content-Length: 0\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n" + SMUGGLED),
    refused(SMUGGLING, "two lengths in one line", POST_HEAD + "Content-Length: 5, 6\r\n\r\nabcdef"),
    refused(SMUGGLING, "a length twice", POST_HEAD + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", kind=ours),
]
ROWS += [refused(SMUGGLING, f"Content-Length: {length or 'nothing'}", POST_HEAD + f"Content-Length: {length}\r\n\r\nabcde")
         for length in ("", "+5", "-5", "0x5", "5_0", "5 5", "5.0", "five", "18446744073709551617", "\x0b5")]
ROWS += [refused(SMUGGLING, "Content-Length: 5,5", POST_HEAD + "Content-Length: 5,5\r\n\r\nabcde", kind=ours)]
ROWS += [refused(SMUGGLING, f"Transfer-Encoding: {coding}", POST_HEAD + f"Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n", 400, 501)
         for coding in ("xchunked", "chunked, gzip", "\x0bchunked", "identity", "gzip")]
ROWS += [refused(SMUGGLING, f"Transfer-Encoding: {coding}", POST_HEAD + f"Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n", 400, 501, kind=ours)
         for coding in ("chunked, chunked", "chunked;a", "\"chunked\"")]
ROWS += [
    refused(SMUGGLING, "Transfer-Encoding: ,chunked", POST_HEAD + "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400, 501, kind=ours),
    refused(SMUGGLING, "Transfer-Encoding twice",
            POST_HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400, 501),
    refused(SMUGGLING, "chunked in HTTP/1.0",
            "POST {path} HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", kind=ours),
]
# A body is streamed, so its head may have gone to the origin; but no second request may.
ROWS += [required(f"{SMUGGLING}: {what}", raw(CHUNKED + body + SMUGGLED).gives(FRESH).asks_nothing_at("/smuggled").refused(400))
         for what, body in (
             ("an empty chunk size", "\r\n0\r\n\r\n"),
             ("a chunk size with a minus", "-0\r\n\r\n"),
             ("a chunk size with 0x", "0x1\r\na\r\n0\r\n\r\n"),
             ("a chunk size of 17 digits", "10000000000000000\r\na\r\n0\r\n\r\n"),
             ("a chunk size that ends with a line feed", "1\na\r\n0\r\n\r\n"),
             ("a line feed in a chunk extension", "1;a\nb\r\na\r\n0\r\n\r\n"),
             ("a carriage return in a chunk extension", "1;a\rb\r\na\r\n0\r\n\r\n"),
             ("no line end after a chunk", "1\r\nab\r\n0\r\n\r\n"),
             ("a chunk longer than its size", "1\r\nabc\r\n0\r\n\r\n"),
         )]
ROWS += [refused(MALFORMED, what, data, kind=ours) for what, data in (
    ("a bare line feed after the request line", "GET {path} HTTP/1.1\nHost: {host}\r\n\r\n"),
    ("a bare carriage return in a value", "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\rb\r\n\r\n"),
    ("a zero byte in a value", "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\0b\r\n\r\n"),
    ("a zero byte in the target", "GET {path}\0 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a blank in the target", "GET {path} x HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a quotation mark in the target", 'GET {path}?a="b" HTTP/1.1\r\nHost: {host}\r\n\r\n'),
    ("an angle bracket in the target", "GET {path}?a=<b HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a fragment in the target", "GET {path}?a#b HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a byte beyond ASCII in the target", "GET {path}?a=\xe4 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a backslash in the path, which some take for a slash", "GET {path}\\a HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ("a bare line feed after a field", "GET {path} HTTP/1.1\r\nHost: {host}\nX: a\r\n\r\n"),
    ("a folded field", "GET {path} HTTP/1.1\r\nHost: {host}\r\nX: a\r\n b\r\n\r\n"),
    ("a tab in the request line", "GET\t{path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
)]
ROWS += [refused(MALFORMED, what, f"GET {{path}} HTTP/1.1\r\nHost: {{host}}\r\n{line}\r\n\r\n", kind=kind) for kind, what, line in (
    (required, "a blank before the colon", "X : a"), (ours, "an empty field name", ": a"), (ours, "no colon", "Xa"),
    (ours, "a field name beyond ASCII", "X\xe4: a"), (ours, "a blank before a field name", " X: a"),
    (required, "Content-Length with a blank before its colon", "Content-Length : 5"))]
ROWS += [refused(HOST, what, data) for what, data in (
    ("no Host", "GET {path} HTTP/1.1\r\nX: a\r\n\r\n"),
    ("two Hosts", "GET {path} HTTP/1.1\r\nHost: {host}\r\nHost: other.example\r\n\r\n"),
    ("a Host that is none", "GET {path} HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("a Host with a path", "GET {path} HTTP/1.1\r\nHost: a/b\r\n\r\n"))]
ROWS += [
    refused(HOST, "a Host that is not the target's", "GET http://one.example{path} HTTP/1.1\r\nHost: two.example\r\n\r\n", kind=ours),
    refused(HOST, "a target with user information", "GET http://a@one.example{path} HTTP/1.1\r\nHost: one.example\r\n\r\n", kind=ours),
]
ROWS += [refused(CONNECTION, f"Connection: {name}", f"GET {{path}} HTTP/1.1\r\nHost: {{host}}\r\nConnection: {name}\r\n\r\n", kind=ours)
         for name in ("Host", "Content-Length", "Transfer-Encoding", "Cache-Control", "close, hOST")]
ROWS += [
    refused(BODY, "a GET with a body", "GET {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc", kind=ours),
    refused(BODY, "a GET with a chunked body",
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", kind=ours),
    refused(LARGE, "a line of 70 KiB", f"GET {{path}} HTTP/1.1\r\nHost: {{host}}\r\nX: {'v' * 71680}\r\n\r\n", 400, 431, kind=ours),
    refused(LARGE, "1,000 fields",
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"X-{i}: a\r\n" for i in range(1000)) + "\r\n", 400, 431, kind=ours),
    refused(LARGE, "a URL of 70 KiB", f"GET {{path}}?{'q' * 71680} HTTP/1.1\r\nHost: {{host}}\r\n\r\n", 400, 414, kind=ours),
    required(f"{LARGE}: a hundred fields are no attack",
             GET.sends(*(f"X-{i}: a" for i in range(50))).gives(FRESH).asks().gets(200)),
    refused(EXPECT, "an expectation that is nearly 100-continue",
            POST_HEAD + "Expect: y 100-continue\r\nContent-Length: 3\r\n\r\nabc", 400, 417, kind=ours),
    ours(f"{EXPECT}: 100-continue without a body", raw("POST {path} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\n"
         "Content-Length: 0\r\n\r\n").gives().gets(200)),
    refused(MALFORMED, "what is no request at all", "\x16\x03\x01 {path}\r\n\r\n"),
    refused(MALFORMED, "a version that is none", "GET {path} HTTP/9.9\r\nHost: {host}\r\n\r\n", 400, 505),
    refused(MALFORMED, "no version", "GET {path}\r\n\r\n", kind=ours),
]

# Cache correctness as security.
ROWS += [
    required(f"{POISONING}: {one} and {two} are two URLs", GET.at(one).gives(FRESH), GET.at(two).gives(FRESH).asks().target(two))
    for one, two in (("?a=1;b=2", "?a=1"), ("?a=1&b=2", "?b=2&a=1"), ("?a=1&a=2", "?a=2"), ("?a=%26", "?a=&"),
                     ("?a=%3d", "?a=="), ("?utm_x=1&a=1", "?a=1"), ("/a%2Fb", "/a/b"), ("/a;x.js", "/a"), ("/x.css", "/x"))]
ROWS += [
    required(f"{DECEPTION}: {suffix} does not make private what is to be kept from others storable",
             GET.at(suffix).gives("Cache-Control: private, max-age=60"), GET.at(suffix).gives("Cache-Control: private").asks())
    for suffix in ("/x.css", ";x.js", "/a.png?x=.css")]
ROWS += [
    ours(f"{DECEPTION}: {suffix} is refused, as it may mean another path", GET.at(suffix).gives(FRESH).gets(400).requests(0))
    for suffix in ("/../account", "/%2e%2e/account", "/a%2f..%2faccount", "/a\\..\\account", "/./a", "/a/..")]
