"""Origins: answers that are not as they should be, and are not passed on as if they were (RFC 9112)"""
from words import GET, HEAD, ours, required

FRESH = "Cache-Control: max-age=3600"
OK = "HTTP/1.1 200 OK\r\n"
EVIL = "HTTP/1.1 200 OK\r\nX-Evil: 1\r\nContent-Length: 4\r\n\r\nevil"


def refused(kind, name, data):
    """The client is told, and what came is not stored."""
    return kind(name, GET.gives_raw(data).refused(502), GET.gives(FRESH, "X-New: 1").gets(200, 502, 503))


ROWS = [
    refused(kind, f"RFC 9112 §6.3: {what} is a 502", OK + f"{FRESH}\r\n{lines}\r\n\r\nhello")
    for kind, what, lines in (
        (required, "an answer with two different lengths", "Content-Length: 5\r\nContent-Length: 4"),
        (required, "an answer with two different lengths in a line", "Content-Length: 5, 4"),
        (required, "an answer whose length is a word", "Content-Length: five"),
        (required, "an answer whose length is negative", "Content-Length: -5"),
        (ours, "an answer whose length has a plus", "Content-Length: +5"),
        (ours, "an answer whose length is hexadecimal", "Content-Length: 0x5"),
        (ours, "an answer whose length is beyond 2^64", "Content-Length: 18446744073709551621"),
        (ours, "an answer with an unknown transfer coding", "Transfer-Encoding: frob"),
        (ours, "a zero byte in a field", "X-Zero: a\0b\r\nContent-Length: 5"),
        (ours, "a carriage return in a field", "X-Return: a\rb\r\nContent-Length: 5"),
        (ours, "a line without a colon", "no colon\r\nContent-Length: 5"),
        (ours, "a field without a name", ": nameless\r\nContent-Length: 5"),
    )]
ROWS += [
    refused(kind, f"RFC 9112 §4: {what} is a 502", f"{line}\r\n{FRESH}\r\nContent-Length: 5\r\n\r\nhello")
    for kind, what, line in (
        (ours, "a status that is a word", "HTTP/1.1 fine OK"), (ours, "a status of two digits", "HTTP/1.1 20 OK"),
        (ours, "a status of four digits", "HTTP/1.1 2000 OK"), (ours, "a status below 100", "HTTP/1.1 099 OK"),
        (ours, "a version that is none", "HTTP/1.x 200 OK"), (ours, "another protocol", "ICY 200 OK"))]
ROWS += [
    required(f"RFC 9112 §7.1: an answer with {what} is not whole",
             GET.gives_raw(f"{OK}{FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n{body}").cut(),
             GET.gives(FRESH).gets(200, 502, 503))
    for what, body in (("a chunk size that is none", "5\r\nhello\r\nxyz\r\n"), ("a negative chunk size", "5\r\nhello\r\n-1\r\n\r\n"),
                       ("a chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
                       ("a chunk size beyond 2^64", "5\r\nhello\r\nfffffffffffffffff\r\nx"))]
ROWS += [
    required("RFC 9112 §6.3: of length and chunks the chunks count, and the length goes no further",
             GET.gives_raw(f"{OK}{FRESH}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
             .gets(200, 502, 503, body=b"hello").lacks("Content-Length: 3")),
    required("RFC 9112 §9.2: what comes behind an answer is not the answer to the next request",
             GET.gives_raw(f"{OK}Cache-Control: no-store\r\nContent-Length: 5\r\n\r\nhello" + EVIL, closes=False).lacks("X-Evil"),
             GET.gives("Cache-Control: no-store").lacks("X-Evil"), GET.gives("Cache-Control: no-store").lacks("X-Evil")),
    required("RFC 9112 §6.3: what comes behind a 204 is not the answer to the next request",
             GET.gives_raw("HTTP/1.1 204 No Content\r\nCache-Control: no-store\r\n\r\n" + EVIL, closes=False).lacks("X-Evil"),
             GET.gives("Cache-Control: no-store").lacks("X-Evil"), GET.gives("Cache-Control: no-store").lacks("X-Evil")),
    required("RFC 9112 §6.3: what comes behind a 304 is not the answer to the next request",
             GET.sends('If-None-Match: "a"').gives_raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + EVIL, closes=False).lacks("X-Evil"),
             GET.gives("Cache-Control: no-store").lacks("X-Evil"), GET.gives("Cache-Control: no-store").lacks("X-Evil")),
    required("RFC 9112 §6.3: a body to a HEAD is not the answer to the next request",
             HEAD.gives_raw(f"{OK}Cache-Control: no-store\r\nContent-Length: {len(EVIL)}\r\n\r\n" + EVIL, closes=False).lacks("X-Evil"),
             GET.gives("Cache-Control: no-store").lacks("X-Evil"), GET.gives("Cache-Control: no-store").lacks("X-Evil")),
    required("RFC 9112 §5.1: a blank before the colon goes no further",
             GET.gives_raw(f"{OK}X-Blank : 1\r\nContent-Length: 5\r\n\r\nhello").gets(200, 502, 503).lacks("X-Blank ")),
    required("RFC 9112 §5.2: a folded field is unfolded, or a 502",
             GET.gives_raw(f"{OK}X-Folded: a\r\n b\r\nContent-Length: 5\r\n\r\nhello").gets(200, 502, 503).lacks("X-Folded: a")),
    ours("RFC 9110 §5.4: a head of a megabyte is a 502",
         GET.gives_raw(OK + f"X-Large: {'v' * 1000}\r\n" * 1100 + "Content-Length: 0\r\n\r\n").gets(502)),
    ours("RFC 9112 §9.3: an answer that asks to switch the protocol when nobody wanted is a 502",
         GET.gives_raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: frob\r\nConnection: upgrade\r\n\r\n").gets(502)),
]
