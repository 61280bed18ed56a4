"""CORS: what is said to browsers whose page is of another origin, where an operator says so"""
from words import GET, HEAD, POST, method, ours

PAGE, OTHER = "https://a.example", "https://x.b.example"
FRESH = "Cache-Control: max-age=3600"
OPTIONS = method("OPTIONS")
ASKS = "Access-Control-Request-Method: PUT"
SET = ("--cors-origins", f"{PAGE}, https://*.b.example", "--cors-methods", "GET, PUT", "--cors-headers", "X-Key",
       "--cors-expose", "X-Total", "--cors-credentials", "yes", "--cors-max-age", "10m")


def from_(origin):
    return GET.sends(f"Origin: {origin}")


def allowing(origin):
    return f"Access-Control-Allow-Origin: {origin}"


def cors(what, *steps):
    return ours(f"--cors-origins: {what}", *steps, options=SET)


def is_told_nothing(step):
    return step.lacks("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers")


ROWS = [
    ours("without --cors-origins a preflight goes to the origin, and what it says of pages to the client",
         OPTIONS.sends(f"Origin: {PAGE}", ASKS).gives(200, "Access-Control-Allow-Origin: x").asks().gets("Access-Control-Allow-Origin: x")),
    cors("a preflight is answered without the origin",
         OPTIONS.sends(f"Origin: {PAGE}", ASKS).requests(0)
         .gets(204, allowing(PAGE), "Access-Control-Allow-Methods: GET, PUT", "Access-Control-Allow-Headers: X-Key",
               "Access-Control-Allow-Credentials: true", "Access-Control-Max-Age: 600", "Vary: Origin", body=b"")
         .lacks("Access-Control-Expose-Headers", "Content-Length")),
    cors("that of a page that may not ask is refused",
         is_told_nothing(OPTIONS.sends("Origin: https://b.example", ASKS).requests(0).refused(403).gets("Vary: Origin"))),
    cors("what is no preflight goes to the origin",
         OPTIONS.sends(f"Origin: {PAGE}").gives(200).asks().gets(allowing(PAGE)), OPTIONS.sends(ASKS).gives(200).asks()),
    cors("each page is told what it may see, from the origin and from the store",
         from_(PAGE).gives(FRESH).gets(allowing(PAGE), "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: X-Total", "Vary: Origin"),
         from_(OTHER).hits().gets(allowing(OTHER), "Vary: Origin"), is_told_nothing(from_("https://evil.example").hits().gets("Vary: Origin")),
         is_told_nothing(GET.hits().gets("Vary: Origin")), HEAD.sends(f"Origin: {PAGE}").hits().gets(allowing(PAGE))),
    cors("what the origin says of pages is not passed on",
         from_(PAGE).gives(FRESH, "Access-Control-Allow-Origin: *", "access-control-expose-headers: X-Secret",
                           "Access-Control-Allow-Private-Network: true")
         .gets(allowing(PAGE), "Access-Control-Expose-Headers: X-Total").lacks("Access-Control-Allow-Private-Network"),
         is_told_nothing(GET.hits())),
    cors("a Vary of the origin's stays",
         GET.sends("Accept-Language: de").gives(FRESH, "Vary: Accept-Language").gets("Vary: Accept-Language", "Vary: Origin"),
         GET.sends("Accept-Language: de").hits()),
    cors("a 304 tells it", GET.gives(FRESH, 'ETag: "a"'),
         from_(PAGE).sends('If-None-Match: "a"').hits().gets(304, allowing(PAGE), "Vary: Origin", body=b"")),
    cors("a part tells it", GET.gives(FRESH, body=b"0123456789"),
         from_(PAGE).sends("Range: bytes=0-3").hits().gets(206, allowing(PAGE), body=b"0123"),
         from_(PAGE).sends("Range: bytes=20-").hits().gets(416, allowing(PAGE), body=b"")),
    cors("those who share one request are told it each",
         GET.by_each(f"Origin: {PAGE}", f"Origin: {OTHER}").gives(FRESH, delay_s=0.3).requests(1).gets("Access-Control-Allow-Origin")),
    cors("an error of the origin's tells it", from_(PAGE).gives(500).gets(500, allowing(PAGE))),
    cors("an error of the gateway's own tells it",
         from_(PAGE).sends("Cache-Control: only-if-cached").gets(504, allowing(PAGE), "Vary: Origin").requests(0),
         from_(PAGE).fails("drop").gets(502, allowing(PAGE))),
    cors("so does what answers a write", POST.sends(f"Origin: {PAGE}").gives(201).gets(allowing(PAGE))),
]
