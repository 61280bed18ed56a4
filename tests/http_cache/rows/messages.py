"""Messages: framing, methods, interim answers, trailers, versions (RFC 9110, RFC 9112)"""
from words import GET, HEAD, POST, PUT, method, optional, ours, raw, required

FRESH = "Cache-Control: max-age=3600"
NOT = "Cache-Control: no-store"

ROWS = [
    required(f"RFC 9110 §9: {name} reaches the origin with its body, and its answer comes back",
             method(name).sends(body=b"some bytes").gives(201, "X-Answer: yes").asks().sees(body=b"some bytes")
             .gets(201, "X-Answer: yes"))
    for name in ("POST", "PUT", "PATCH", "DELETE")]
ROWS += [
    required(f"RFC 9110 §9.1: {name}, which nobody knows, reaches the origin",
             method(name).gives(NOT).asks()) for name in ("FROBNICATE", "M-SEARCH", "REPORT")]
ROWS += [
    ours("RFC 9110 §9.1: x-lower, which nobody knows, reaches the origin", method("x-lower").gives(NOT).asks()),
    required("RFC 9110 §9.1: methods are case-sensitive: get is not GET",
             GET.gives(FRESH), method("get").gives(405).gets(400, 405, 501)),
    required("RFC 9110 §9.3.2: a HEAD has no body and the length of the GET",
             HEAD.gives(NOT, body=b"12345").asks().gets("Content-Length: 5")),
    required("RFC 9110 §9.3.3: a body of 1 MB reaches the origin",
             POST.sends(body=b"0123456789abcdef" * 65536).gives().asks().sees(body=b"0123456789abcdef" * 65536)),
    required("RFC 9112 §6.3: an empty body of a POST reaches the origin as an empty body",
             POST.sends(body=b"").gives().asks().sees("Content-Length: 0", body=b"")),
    required("RFC 9112 §7.1: a chunked body of a request reaches the origin",
             raw("POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n").gives().asks().sees(body=b"abcdefg")),
    required("RFC 9112 §7.1.1: a chunk extension is ignored",
             raw("POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n").gives().asks().sees(body=b"abcdefg")),
    required("RFC 9112 §7.1.2: trailers of a request are not taken for fields",
             raw("POST {path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n").gives().asks().sees(body=b"abc").sees_no("X-Late")),
    ours("Out of the box: a GET with a body is refused",
         GET.sends(body=b"abc").gives(FRESH).gets(400).requests(0)),
    ours("RFC 9112 §6.3: a GET with a Content-Length of 0 has no body", GET.sends("Content-Length: 0").gives(FRESH).asks()),
    required("RFC 9112 §7.1: a chunked answer is passed on whole", GET.gives(NOT, framing="chunked").asks()),
    required("RFC 9112 §7.1: an empty chunked answer is passed on", GET.gives(NOT, framing="chunked", body=b"").asks()),
    required("RFC 9112 §6.3: an answer that ends with its connection is passed on whole", GET.gives(NOT, framing="close").asks()),
    required("RFC 9112 §8: an answer that is cut off is cut off for the client, too", GET.gives(NOT, framing="cut").cut()),
    required("RFC 9112 §8: a chunked answer that is cut off is cut off for the client, too",
             GET.gives(NOT, framing="unended").cut()),
    ours("RFC 9457 §3: our own failures are problem documents",
         GET.fails("drop").gets(502, "Content-Type: application/problem+json")),
    required("RFC 9110 §15.3.5: a 204 has no body", GET.gives(204, NOT).asks().lacks("Content-Length", "Transfer-Encoding")),
    required("RFC 9110 §6.5.1: trailers of an answer are not taken for fields",
             GET.gives(FRESH, "Trailer: X-Late", framing="chunked", trailers=("X-Late: 1",)).lacks("X-Late"),
             GET.gives(FRESH).lacks("X-Late")),
    required("RFC 9110 §6.5.1: a trailer does not overrule a field",
             GET.gives(NOT, framing="chunked", trailers=("Cache-Control: max-age=3600",)), GET.gives(FRESH).asks()),
    ours("Out of the box: a body is passed on as it comes", GET.gives(NOT, pause_s=1.2).streams()),
    ours("Out of the box: a chunked body, too", GET.gives(NOT, pause_s=1.2, framing="chunked").streams()),
    ours("Out of the box: one that is to be stored, too",
         GET.gives(FRESH, pause_s=1.2, framing="chunked").streams(), GET.hits()),
    ours("Out of the box: to all who wait for it", GET.by(5).gives(FRESH, pause_s=1.2).streams().requests(1)),
    required("RFC 9112 §9.3: an HTTP/1.0 answer is passed on", GET.gives(NOT, version="1.0").asks().gets(200)),
    required("RFC 9112 §2.3: answers are in our own version of HTTP",
             GET.gives(NOT, version="1.0", framing="none").asks().gets(200)),
    ours("RFC 9112 §2.3: a client of HTTP/1.0 is served",
         GET.sends(version="1.0").gives(FRESH).asks().lacks("Transfer-Encoding"), GET.sends(version="1.0").hits()),
    ours("RFC 9112 §7.1: a client of HTTP/1.0 is sent no chunks",
         GET.sends(version="1.0").gives(NOT, framing="chunked").asks().lacks("Transfer-Encoding")),
    ours("RFC 9112 §3.2: a client of HTTP/1.0 need not say Host",
         GET.sends(version="1.0", host="").gives(NOT).asks().sees("Host")),
    required("RFC 9112 §3.2.2: an absolute target is understood",
             raw("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").gives(FRESH).asks(), GET.hits()),
    required("RFC 9112 §3.2: a request without Host is refused",
             raw("GET {path} HTTP/1.1\r\n\r\n").gives(FRESH).gets(400).requests(0)),
    required("RFC 9110 §9.3.8: the answer to TRACE, if any, is not stored",
             method("TRACE").gives(FRESH), GET.gives(FRESH).asks()),
]

# Interim answers: RFC 9110 §15.2.
for status, fields in ((102, ()), (103, ("Link: </a.css>; rel=preload",))):
    ROWS += [
        required(f"RFC 9110 §15.2: a {status} is not the answer",
                 GET.gives(FRESH, interim=((status, *fields),)).gets(200), GET.gives(FRESH).gets(200)),
        required(f"RFC 9110 §15.2: a {status} is passed on",
                 GET.gives(NOT, interim=((status, *fields),)).hears((status, *fields))),
        ours(f"RFC 9110 §15.2: a {status} is passed on before the answer is there, and not stored",
             GET.gives(FRESH, interim=((status, *fields),)).hears((status, *fields)), GET.hits().hears()),
        required(f"RFC 9110 §15.2: the fields of a {status} are not those of the answer",
                 GET.gives(FRESH, interim=((status, "X-Interim: 1", *fields),)).lacks("X-Interim"),
                 GET.gives(FRESH).lacks("X-Interim")),
        ours(f"RFC 9110 §15.2: a client of HTTP/1.0 is sent no {status}",
             GET.sends(version="1.0").gives(NOT, interim=((status, *fields),)).hears()),
    ]
ROWS += [
    required("RFC 8297 §2: two 103 are both passed on",
             GET.gives(NOT, interim=((103, "Link: </a>; rel=preload"), (103, "Link: </b>; rel=preload")))
             .hears((103, "Link: </a>; rel=preload"), (103, "Link: </b>; rel=preload"))),
    required("RFC 9111 §3: an interim answer with explicit freshness is not stored",
             GET.gives(NOT, interim=((103, FRESH),)), GET.gives(NOT).asks()),
    required("RFC 9110 §15.2.1: a 100 of the origin is not the answer", GET.gives(NOT, interim=((100,),)).gets(200)),
    required("RFC 9110 §15.2: an interim answer that nobody knows is not the answer",
             GET.gives(NOT, interim=((199, "X-Odd: 1"),)).gets(200).lacks("X-Odd")),
    required("RFC 9110 §10.1.1: Expect: 100-continue is answered",
             PUT.sends("Expect: 100-continue", body=b"abc").gives().asks().sees(body=b"abc").gets(200)),
    ours("RFC 9110 §10.1.1: an expectation that nobody knows is refused",
         PUT.sends("Expect: frobnication", body=b"abc").gives().gets(417).requests(0)),

    optional("RFC 9110 §9.3.3: a POST with explicit freshness and its own URL as Content-Location is reused for a GET",
             POST.sends(body=b"a").gives(FRESH, "Content-Location: {path}"), GET.hits()),
    required("RFC 9110 §9.3.3: a POST without Content-Location is not reused for a GET",
             POST.sends(body=b"a").gives(FRESH), GET.gives(FRESH).asks()),
    required("RFC 9110 §9.3.3: a POST with another Content-Location is not reused for a GET of its URL",
             POST.sends(body=b"a").gives(FRESH, "Content-Location: {path}/other"), GET.gives(FRESH).asks()),
    required("RFC 9110 §9.3.3: a POST without explicit freshness is not reused for a GET",
             POST.sends(body=b"a").gives("Content-Location: {path}", "Last-Modified: {now-864000}"), GET.gives(FRESH).asks()),
    optional("RFC 9112 §9.3.2: requests one after another on one connection",
             GET.gives(FRESH), raw("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\nGET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").hits()),
]
ROWS += [
    required(f"RFC 9110 §4.2: {what} reaches the origin byte for byte, and is a key of its own",
             GET.at(suffix).gives(FRESH).asks().target(suffix), GET.gives(FRESH).asks())
    for what, suffix in (("an encoded slash", "/a%2Fb"), ("a semicolon", "/a;b=1"), ("a parameter twice", "?a=1&a=2"),
                         ("a parameter behind a semicolon", "?a=1;b=2"), ("an encoded ampersand", "?a=%26%3d"),
                         ("a question mark alone", "?"), ("two slashes", "//a"), ("an encoded byte beyond ASCII", "/%e4"),
                         ("a tracking parameter", "?utm_source=x"), ("a plus", "?a=b+c"))]
