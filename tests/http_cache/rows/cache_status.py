"""Cache-Status: how an answer came about (RFC 9211)"""
from words import GET, HEAD, LATER_S, POST, ours, required

FRESH = "Cache-Control: max-age=3600"
SHORT = "Cache-Control: max-age=1"

ROWS = [
    ours("RFC 9211 §2.1: hit", GET.gives(FRESH), GET.hits().says("hit", "!fwd", "ttl")),
    ours("RFC 9211 §2.2: what was not there is fwd=uri-miss", GET.gives(FRESH).says("fwd=uri-miss", "!hit")),
    ours("RFC 9211 §2.2: another variant is fwd=vary-miss",
         GET.sends("Foo: 1").gives(FRESH, "Vary: Foo"), GET.sends("Foo: 2").gives(FRESH, "Vary: Foo").says("fwd=vary-miss")),
    ours("RFC 9211 §2.2: what is stale is fwd=stale", GET.gives(SHORT), GET.waits(LATER_S).gives(FRESH).says("fwd=stale")),
    ours("RFC 9211 §2.2: what the client wants from the origin is fwd=request",
         GET.gives(FRESH), GET.sends("Cache-Control: no-cache").gives(FRESH).says("fwd=request")),
    ours("RFC 9211 §2.2: a POST is fwd=method", POST.sends(body=b"x").gives().says("fwd=method")),
    ours("RFC 9211 §2.3: fwd-status is the origin's status", GET.gives(404, FRESH).says("fwd-status=404")),
    ours("RFC 9211 §2.3: fwd-status of what was confirmed is 304",
         GET.gives(SHORT, 'ETag: "a"'), GET.waits(LATER_S).validates(FRESH, 'ETag: "a"').says("fwd=stale", "fwd-status=304")),
    ours("RFC 9211 §2.5: stored says that it was", GET.gives(FRESH).says("stored")),
    ours("RFC 9211 §2.5: what was not stored is not said to be", GET.gives("Cache-Control: no-store").says("!stored")),
    ours("RFC 9211 §2.4: ttl is what is left",
         GET.gives(FRESH, "Age: 1000"), GET.hits().says("ttl")),
    ours("RFC 9211 §2.6: who shares another's request is collapsed",
         GET.by(5).gives(FRESH, delay_s=0.5).requests(1), GET.hits().says("!collapsed")),
    ours("RFC 9211 §2: the caches before us keep their members",
         GET.gives(FRESH, "Cache-Status: Other; hit; ttl=5").gets("Cache-Status: Other; hit; ttl=5").says("fwd=uri-miss"),
         GET.hits().gets("Cache-Status: Other; hit; ttl=5").says("hit")),
    ours("RFC 9211 §2: a HEAD, too", GET.gives(FRESH), HEAD.hits().says("hit")),
    ours("RFC 9211 §2: only-if-cached is neither hit nor forwarded",
         GET.sends("Cache-Control: only-if-cached").gets(504).says("!hit", "!fwd")),
    ours("RFC 9211 §2.7: no key is told", GET.gives(FRESH).says("!key"), GET.hits().says("!key")),
]
