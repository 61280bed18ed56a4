"""Options: what an operator may say otherwise, each beside what holds without"""
from words import GET, LATER_S, POST, method, ours

FRESH, SHORT = "Cache-Control: max-age=3600", "Cache-Control: max-age=1"
OLD = "Last-Modified: {now-864000}"
TTLS = "200=1h, 4xx=1h, 404=1s, 5xx=0"
QUERY = method("QUERY").sends("Content-Type: application/json", body=b'{"a": 1}')
OTHER_QUERY = method("QUERY").sends("Content-Type: application/json", body=b'{"a": 2}')


def with_option(name, value, what, *steps):
    return ours(f"--{name} {value}: {what}", *steps, options=(f"--{name}", value))


ROWS = [
    with_option("heuristic-max", "0", "nothing is guessed at", GET.gives(OLD), GET.gives(OLD).asks()),
    with_option("heuristic-max", "0", "explicit freshness holds", GET.gives(FRESH), GET.hits()),
    with_option("heuristic-max", "1h", "an hour is the longest guess, for what is older",
                GET.gives(OLD, "Age: 7200"), GET.gives(OLD).asks()),
    with_option("heuristic-max", "1h", "an hour is the longest guess, for what is younger", GET.gives(OLD, "Age: 1800"), GET.hits()),
    with_option("status-ttl", TTLS, "a status is fresh as long as that, whatever the answer says",
                GET.gives("Cache-Control: max-age=0"), GET.hits()),
    with_option("status-ttl", TTLS, "from its arrival", GET.gives("Cache-Control: max-age=1", "Age: 100"), GET.hits()),
    with_option("status-ttl", TTLS, "and no longer", GET.gives(404, FRESH), GET.waits(LATER_S).gives(404, FRESH).asks()),
    with_option("status-ttl", TTLS, "a status that is named comes before its class", GET.gives(410), GET.waits(LATER_S).hits()),
    with_option("status-ttl", TTLS, "0: it is not reused", GET.gives(500, FRESH), GET.gives(500, FRESH).asks()),
    with_option("status-ttl", TTLS, "0: what can be validated is", GET.gives(503, FRESH, 'ETag: "a"'), GET.validates()),
    with_option("status-ttl", TTLS, "of others the answer's word counts", GET.gives(301, FRESH), GET.hits()),
    with_option("status-ttl", TTLS, "private is still private", GET.gives("Cache-Control: private"), GET.gives(FRESH).asks()),
    with_option("status-ttl", TTLS, "no-store is still kept to", GET.gives("Cache-Control: no-store"), GET.gives(FRESH).asks()),
    with_option("status-ttl", TTLS, "what sets a cookie is still stored only if it is public",
                GET.gives("Set-Cookie: a=b"), GET.gives(FRESH).asks()),
    with_option("status-ttl", TTLS, "a confirmed answer is fresh for as long again",
                GET.gives("Cache-Control: no-cache", 'ETag: "a"'), GET.validates("Cache-Control: max-age=0"), GET.hits(1)),
    with_option("stale-if-error", "1h", "a stale answer stands in for a 503 that nobody spoke of",
                GET.gives(SHORT), GET.waits(LATER_S).gives(503).stands_in(1)),
    with_option("stale-if-error", "1h", "what the answer says comes first",
                GET.gives(SHORT + ", stale-if-error=0"), GET.waits(LATER_S).gives(503).asks().gets(503)),
    with_option("stale-if-error", "1h", "must-revalidate comes first",
                GET.gives(SHORT + ", must-revalidate"), GET.waits(LATER_S).gives(503).asks().gets(503)),
    with_option("stale-if-unreachable", "0", "nothing stands in for an origin that closes",
                GET.gives(SHORT), GET.waits(LATER_S).fails("drop").gets(502)),
    with_option("stale-while-revalidate", "1h", "a stale answer is given, and the origin asked",
                GET.gives(SHORT), GET.waits(LATER_S).gives(FRESH).hits_and_asks(1), GET.hits(2)),
    with_option("stale-while-revalidate", "1h", "what the answer says comes first",
                GET.gives(SHORT + ", stale-while-revalidate=0"), GET.waits(LATER_S).gives(FRESH).asks()),
    with_option("stale-while-revalidate", "1h", "must-revalidate comes first",
                GET.gives(SHORT + ", must-revalidate"), GET.waits(LATER_S).gives(FRESH).asks()),
    with_option("store-set-cookie", "yes", "an answer with Set-Cookie is stored, and given with it",
                GET.gives(FRESH, "Set-Cookie: a=1"), GET.hits().gets("Set-Cookie: a=1")),
    with_option("store-set-cookie", "yes", "private is still private",
                GET.gives("Cache-Control: private, max-age=60", "Set-Cookie: a=1"), GET.gives(FRESH).asks()),
    with_option("ignore-cookies", "yes", "the answer to a Cookie is shared",
                GET.sends("Cookie: a=1").gives(FRESH), GET.sends("Cookie: a=2").hits(), GET.hits()),
    with_option("ignore-cookies", "yes", "private is still private",
                GET.sends("Cookie: a=1").gives("Cache-Control: private, max-age=60"), GET.gives(FRESH).asks()),
    with_option("immutable", "yes", "a reload of what is immutable is answered from the store",
                GET.gives(FRESH + ", immutable"), GET.sends("Cache-Control: max-age=0").hits(),
                GET.sends("Cache-Control: no-cache").hits()),
    with_option("immutable", "yes", "a reload of what is not asks", GET.gives(FRESH), GET.sends("Cache-Control: max-age=0").gives(FRESH).asks()),
    ours("RFC 8246 §2: without --immutable a reload of what is immutable asks",
         GET.gives(FRESH + ", immutable"), GET.sends("Cache-Control: no-cache").gives(FRESH).asks()),
    with_option("range-whole", "yes", "for a part that is not stored the whole is fetched",
                GET.sends("Range: bytes=0-3").gives(FRESH, 'ETag: "a"', body=b"0123456789").asks().sees_no("Range")
                .gets(206, "Content-Range: bytes 0-3/10", body=b"0123"),
                GET.hits(), GET.sends("Range: bytes=4-").hits().gets(206, body=b"456789")),
    with_option("object-max", "1k", "what is larger is passed on and not stored",
                GET.gives(FRESH, body=b"x" * 1025), GET.gives(FRESH, body=b"x" * 1025).asks()),
    with_option("object-max", "1k", "what is smaller is stored", GET.gives(FRESH, body=b"x" * 500), GET.hits()),

    ours("QUERY: without --cache-query it passes, and invalidates nothing",
         GET.gives(FRESH), QUERY.gives(FRESH).asks().sees(body=b'{"a": 1}'), QUERY.gives(FRESH).asks(), GET.hits(1)),
    with_option("cache-query", "yes", "the same question is answered from the store", QUERY.gives(FRESH), QUERY.hits()),
    with_option("cache-query", "yes", "another question asks, with its own body",
                QUERY.gives(FRESH), OTHER_QUERY.gives(FRESH).asks().sees(body=b'{"a": 2}'), QUERY.hits(1), OTHER_QUERY.hits(2)),
    with_option("cache-query", "yes", "no-store is kept to",
                QUERY.gives("Cache-Control: no-store"), QUERY.gives("Cache-Control: no-store").asks()),
    with_option("cache-query", "yes", "a GET is another question", QUERY.gives(FRESH), GET.gives(FRESH).asks()),
    with_option("cache-query", "yes", "many who ask the same cause one request",
                QUERY.by(10).gives(FRESH, delay_s=0.4).requests(1)),
    with_option("cache-post", "yes", "the same POST is answered from the store",
                POST.sends(body=b"{a}").gives(FRESH), POST.sends(body=b"{a}").hits()),
    with_option("cache-post", "yes", "another POST asks", POST.sends(body=b"{a}").gives(FRESH), POST.sends(body=b"{b}").gives(FRESH).asks()),
    with_option("cache-post", "yes", "a POST invalidates nothing", GET.gives(FRESH), POST.sends(body=b"{a}").gives(FRESH).asks(), GET.hits(1)),
]
