"""Heuristic freshness: answers whose origin does not say how long (RFC 9111 §4.2.2)"""
from words import GET, kept, not_kept, ours, required

OLD = ("Last-Modified: {now-864000}",)  # 10 days: fresh for one
# RFC 9110 §15.1; those whose use depends on the request (206, 300 among them) are elsewhere.
CACHEABLE = (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501)
NOT_CACHEABLE = (201, 202, 299, 302, 303, 307, 400, 403, 409, 418, 429, 500, 502, 503, 504, 599)

ROWS = [kept(f"RFC 9110 §15.1: a {status} with an old Last-Modified is fresh for a while", *OLD, status=status)
        for status in CACHEABLE]
ROWS += [not_kept(f"RFC 9111 §4.2.2: a {status} without explicit freshness is not guessed at", *OLD, status=status)
         for status in NOT_CACHEABLE]
ROWS += [
    not_kept("RFC 9111 §4.2.2: no guess where max-age=0 speaks", "Cache-Control: max-age=0", *OLD),
    not_kept("RFC 9111 §4.2.2: no guess where Expires has passed", "Expires: {now-10}", *OLD),
    not_kept("RFC 9111 §4.2.2: no guess where Expires is no date", "Expires: 0", *OLD),
    not_kept("RFC 9111 §4.2.2: no guess where max-age is invalid", "Cache-Control: max-age=abc", *OLD),
    not_kept("RFC 9111 §4.2.2: no guess with no-cache", "Cache-Control: no-cache", *OLD),
    not_kept("RFC 9111 §4.2.2: no guess with no-store", "Cache-Control: no-store", *OLD),
    not_kept("RFC 9111 §4.2.2: no guess with private", "Cache-Control: private", *OLD),
    ours("RFC 9111 §4.2.2: what was modified just now is not fresh",
         GET.gives("Last-Modified: {now}"), GET.gives("Last-Modified: {now}").asks()),
    ours("RFC 9111 §4.2.2: a Last-Modified in the future is no ground to guess",
         GET.gives("Last-Modified: {now+864000}"), GET.gives().asks()),
    ours("RFC 9111 §4.2.2: a Last-Modified that is no date is no ground to guess",
         GET.gives("Last-Modified: long ago"), GET.gives().asks()),
    ours("Out of the box: an answer that says nothing is not reused", GET.gives(), GET.gives().asks()),
    ours("Out of the box: an ETag alone makes nothing fresh",
         GET.gives('ETag: "a"'), GET.gives('ETag: "a"').asks()),
    ours("Out of the box: public alone makes nothing fresh",
         GET.gives("Cache-Control: public"), GET.gives("Cache-Control: public").asks()),
    ours("RFC 9111 §4.2.2: the guess is a tenth of the time since it was modified",
         GET.gives("Last-Modified: {now-36000}", "Age: 3000"), GET.hits()),
    ours("RFC 9111 §4.2.2: the guess is no more than a tenth",
         GET.gives("Last-Modified: {now-36000}", "Age: 4000"), GET.gives().asks()),
    ours("RFC 9111 §4.2.2: the guess is a day at most",
         GET.gives("Last-Modified: {now-86400000}", "Age: 90000"), GET.gives().asks()),
    ours("RFC 9111 §4.2.2: a URL with a query is guessed at like any other",
         GET.at("?a=1").gives(*OLD), GET.at("?a=1").hits()),
    required("RFC 9111 §4.2.2: a day's guess does not outlast two days of Age",
             GET.gives("Last-Modified: {now-864000}", "Age: 172800"), GET.gives().asks()),
]
