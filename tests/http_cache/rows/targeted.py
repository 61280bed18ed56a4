"""Targeted control: fields for caches of a kind (RFC 9213), written as Structured Fields (RFC 9651)"""
from words import GET, LATER_S, optional, ours, required

FRESH, NOT = "Cache-Control: max-age=3600", "Cache-Control: no-store"


def reused(name, *fields):
    """Reuse that only a cache for which CDN-Cache-Control is meant is asked for."""
    return optional(name, GET.gives(*fields), GET.hits())


def not_reused(name, *fields):
    return optional(name, GET.gives(*fields), GET.gives(*fields).asks())


ROWS = [
    reused("RFC 9213 §2.2: CDN-Cache-Control: max-age makes fresh", "CDN-Cache-Control: max-age=3600"),
    reused("RFC 9213 §2.2: it outweighs Cache-Control: no-store", "CDN-Cache-Control: max-age=3600", NOT),
    reused("RFC 9213 §2.2: it outweighs Cache-Control: private", "CDN-Cache-Control: max-age=3600", "Cache-Control: private"),
    reused("RFC 9213 §2.2: it outweighs Cache-Control: max-age=0", "CDN-Cache-Control: max-age=3600", "Cache-Control: max-age=0"),
    reused("RFC 9213 §2.2: it outweighs Cache-Control: s-maxage=0",
           "CDN-Cache-Control: max-age=3600", "Cache-Control: s-maxage=0"),
    reused("RFC 9213 §2.2: it outweighs a past Expires", "CDN-Cache-Control: max-age=3600", "Expires: {now-60}"),
    not_reused("RFC 9213 §2.2: CDN-Cache-Control: no-store outweighs max-age", "CDN-Cache-Control: no-store", FRESH),
    not_reused("RFC 9213 §2.2: CDN-Cache-Control: no-cache outweighs max-age", "CDN-Cache-Control: no-cache", FRESH),
    not_reused("RFC 9213 §2.2: CDN-Cache-Control: private outweighs max-age", "CDN-Cache-Control: private", FRESH),
    not_reused("RFC 9213 §2.2: CDN-Cache-Control: max-age=0 outweighs max-age", "CDN-Cache-Control: max-age=0", FRESH),
    not_reused("RFC 9213 §2.2: CDN-Cache-Control: max-age=0 outweighs Expires", "CDN-Cache-Control: max-age=0", "Expires: {now+3600}"),
    not_reused("RFC 9213 §2.2: Age counts against CDN-Cache-Control", "CDN-Cache-Control: max-age=3600", "Age: 7200", NOT),
    optional("RFC 9213 §2.2: Age is within CDN-Cache-Control's max-age",
             GET.gives("CDN-Cache-Control: max-age=3600", "Age: 1800"), GET.hits().aged(1800, 1810)),
    optional("RFC 9213 §2.2: its must-revalidate is kept to",
             GET.gives("CDN-Cache-Control: max-age=1, must-revalidate", "Cache-Control: max-age=1, stale-if-error=600"),
             GET.waits(LATER_S).gives(503).asks().gets(502, 503, 504)),
    ours("RFC 9213 §2.2: its stale-while-revalidate is obeyed",
         GET.gives("CDN-Cache-Control: max-age=1, stale-while-revalidate=600"),
         GET.waits(LATER_S).gives(FRESH).hits_and_asks(1)),
    ours("RFC 9213 §2.2: no-store in Cache-Control does not forbid what it does not speak of",
         GET.gives("CDN-Cache-Control: max-age=3600, frobnicate", NOT), GET.hits()),
    # What is not a dictionary is ignored, and so is an empty one.
    reused("RFC 9213 §2.1: an empty CDN-Cache-Control is ignored", "CDN-Cache-Control:", FRESH),
    not_reused("RFC 9213 §2.1: an empty CDN-Cache-Control leaves no-store", "CDN-Cache-Control:", NOT),
]
ROWS += [
    optional(f"RFC 9213 §2.1: {what} is ignored, and Cache-Control counts",
             GET.gives(f"CDN-Cache-Control: {value}", FRESH), GET.hits())
    for what, value in (("what is not a dictionary", "max-age=0, &&&"), ("a comma at the end", "max-age=0,"),
                        ("two commas", "max-age=0,,no-store"), ("a name in capitals", "No-Store"),
                        ("an equals sign without a value", "max-age="), ("blanks around the equals sign", "max-age = 0"),
                        ("an unfinished string", "foo=\"bar, no-store"), ("bytes beyond ASCII", "no-store, \xe4"))]
ROWS += [
    required(f"RFC 9213 §2.1: {what} is ignored, and no-store counts",
             GET.gives(f"CDN-Cache-Control: {value}", NOT), GET.gives(NOT).asks())
    for what, value in (("what is not a dictionary", "max-age=3600, &&&"), ("a comma at the end", "max-age=3600,"),
                        ("a name in capitals", "Max-Age=3600"), ("blanks around the equals sign", "max-age = 3600"))]
ROWS += [
    ours("RFC 9213 §2.2: a max-age that is no integer is stale",
         GET.gives("CDN-Cache-Control: max-age=\"3600\"", FRESH), GET.gives(FRESH).asks()),
    ours("RFC 9213 §2.2: a max-age with a fraction is stale",
         GET.gives("CDN-Cache-Control: max-age=3600.5", FRESH), GET.gives(FRESH).asks()),
    ours("RFC 9651 §3.2: the last of two max-age counts",
         GET.gives("CDN-Cache-Control: max-age=0, max-age=3600", NOT), GET.hits()),
    ours("RFC 9651 §3.1.2: parameters are ignored", GET.gives("CDN-Cache-Control: max-age=3600;foo=1", NOT), GET.hits()),
    ours("RFC 9651 §3.2: a dictionary in two lines is one",
         GET.gives("CDN-Cache-Control: max-age=3600", "CDN-Cache-Control: no-store"), GET.gives(FRESH).asks()),
    required("RFC 9213 §3.1: CDN-Cache-Control is passed on", GET.gives("CDN-Cache-Control: max-age=3600", FRESH)
             .gets("CDN-Cache-Control: max-age=3600")),
    required("RFC 9213 §2: a field for others is passed on and not obeyed",
             GET.gives("Frobnicator-Cache-Control: max-age=3600", NOT).gets("Frobnicator-Cache-Control: max-age=3600"),
             GET.gives(NOT).asks()),
    ours("RFC 9213 §2.2: Nuthatch-Cache-Control comes before CDN-Cache-Control: no-store",
         GET.gives("Nuthatch-Cache-Control: no-store", "CDN-Cache-Control: max-age=3600", FRESH), GET.gives(FRESH).asks()),
    ours("RFC 9213 §2.2: Nuthatch-Cache-Control comes before CDN-Cache-Control: max-age",
         GET.gives("Nuthatch-Cache-Control: max-age=3600", "CDN-Cache-Control: no-store", NOT), GET.hits()),
    ours("RFC 9213 §2.1: a malformed Nuthatch-Cache-Control leaves it to CDN-Cache-Control",
         GET.gives("Nuthatch-Cache-Control: max-age=0,", "CDN-Cache-Control: max-age=3600", NOT), GET.hits()),
    ours("RFC 9213 §3.1: Nuthatch-Cache-Control is for us, and goes no further",
         GET.gives("Nuthatch-Cache-Control: max-age=3600", NOT).lacks("Nuthatch-Cache-Control"),
         GET.hits().lacks("Nuthatch-Cache-Control")),
]
