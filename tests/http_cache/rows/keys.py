"""Keys: what of a request its key is made of, where an operator says so"""
from words import GET, HEAD, POST, ours

FRESH = "Cache-Control: max-age=3600"
PUBLIC = "Cache-Control: public, max-age=3600"
EDITED = ("--key-query-ignore", "utm_*,fbclid", "--key-query-sort", "yes")
SELECTED = ("--key-query-allow", "id, page", "--key-headers", "X-Tenant", "--key-cookies", "session")


def edited(what, *steps):
    return ours(f"--key-query-ignore, --key-query-sort: {what}", *steps, options=EDITED)


def selected(option, what, *steps):
    return ours(f"--{option}: {what}", *steps, options=SELECTED)


BROWSERS = "?filter[name]={1|2}^`\\"  # bytes that are in no URI of RFC 3986, and that WHATWG's URLs keep

ROWS = [
    ours("Out of the box: what browsers send as it is reaches the origin as it is, in the query and in the path",
         GET.at(BROWSERS).gives(FRESH).target(BROWSERS), GET.at(BROWSERS).hits(),
         GET.at("/[1]|{2}^`").gives(FRESH).target("/[1]|{2}^`"), GET.at("/[1]|{2}^`").hits()),
    ours("Out of the box: it is not the same URL as one that is percent-encoded",
         GET.at("?filter[name]=1").gives(FRESH), GET.at("?filter%5Bname%5D=1").gives(FRESH).asks()),
    edited("a parameter whose name has brackets is one", GET.at("?utm_[x]=1&a[b]=2").gives(FRESH), GET.at("?a[b]=2").hits(),
           GET.at("?a[c]=2").gives(FRESH).asks()),
    edited("a parameter that does not count makes no difference, and the origin sees it",
           GET.at("?a=1&utm_x=2").gives(FRESH).target("?a=1&utm_x=2"), GET.at("?a=1").hits(), GET.at("?a=1&fbclid=3").hits(),
           GET.at("?utm_%78=4&a=1").hits()),
    edited("another does", GET.at("?a=1").gives(FRESH), GET.at("?a=2").gives(FRESH).asks(), GET.at("?a=1&utm=1").gives(FRESH).asks()),
    edited("the order of names makes no difference, that of values does",
           GET.at("?b=2&a=1&a=2").gives(FRESH).target("?b=2&a=1&a=2"), GET.at("?a=1&b=2&a=2").hits(),
           GET.at("?a=2&a=1&b=2").gives(FRESH).asks()),
    edited("a query of which nothing counts is none", GET.gives(FRESH), GET.at("?").hits(), GET.at("?utm_x").hits(), GET.at("?&&").hits()),
    edited("parameters behind a semicolon are not hidden by one that does not count",
           GET.at("?a=1").gives(FRESH), GET.at("?a=1&utm_x=1;a=2").gives(FRESH).asks(), GET.at("?a=1").hits(1)),
    edited("spellings of a value are different values", GET.at("?a=A").gives(FRESH), GET.at("?a=%41").gives(FRESH).asks(),
           GET.at("?a=b+c").gives(FRESH).asks(), GET.at("?a=b%20c").gives(FRESH).asks()),
    edited("a write drops what its URL's key has",
           GET.at("?a=1&utm_x=2").gives(FRESH), POST.at("?utm_y=3&a=1").gives(200).asks(), GET.at("?a=1").gives(FRESH).asks()),
    edited("what Location names is dropped by the key that it has",
           GET.at("?a=1").gives(FRESH), POST.at("/new").gives(201, "Location: {path}?utm_x=1&a=1").asks(),
           GET.at("?a=1").gives(FRESH).asks()),
    edited("clients that differ in what does not count wait for one request",
           GET.at("?a=1&utm_x=2").by(8).gives(FRESH, delay_s=0.3).requests(1)),
    selected("key-query-allow", "only what is listed counts",
             GET.at("?id=1&x=2").gives(FRESH).target("?id=1&x=2"), GET.at("?y=3&id=1").hits(),
             GET.at("?id=1&page=1").gives(FRESH).asks(), GET.at("?page=1&id=1").gives(FRESH).asks()),
    selected("key-headers", "answers are told apart by a field that they do not vary by",
             GET.sends("X-Tenant: a").gives(FRESH), GET.sends("X-Tenant: b").gives(FRESH).asks(),
             GET.sends("X-Tenant: a").hits(1), GET.sends("x-tenant: b", "X-Other: c").hits(2), GET.gives(FRESH).asks()),
    selected("key-headers", "HEAD is answered from the GET that is alike",
             GET.sends("X-Tenant: a").gives(FRESH), HEAD.sends("X-Tenant: a").hits(1)),
    selected("key-headers", "the answers still vary",
             GET.sends("X-Tenant: a", "Accept-Language: de").gives(FRESH, "Vary: Accept-Language"),
             GET.sends("X-Tenant: a", "Accept-Language: fr").gives(FRESH, "Vary: Accept-Language").asks(),
             GET.sends("X-Tenant: b", "Accept-Language: de").gives(FRESH, "Vary: Accept-Language").asks(),
             GET.sends("X-Tenant: a", "Accept-Language: de").hits(1)),
    selected("key-headers", "a write drops them all",
             GET.sends("X-Tenant: a").gives(FRESH), GET.sends("X-Tenant: b").gives(FRESH).asks(),
             POST.sends("X-Tenant: a").gives(200).asks(), GET.sends("X-Tenant: a").gives(FRESH).asks(),
             GET.sends("X-Tenant: b").gives(FRESH).asks()),
    selected("key-headers", "what is fetched while a write comes is not kept",
             GET.sends("X-Tenant: a").gives(FRESH, delay_s=0.5).meanwhile(POST.gives(200)),
             GET.sends("X-Tenant: a").gives(FRESH).asks()),
    selected("key-headers", "parts of one are not parts of another",
             GET.sends("X-Tenant: a", "Range: bytes=0-3").gives(206, FRESH, 'ETag: "a"', "Content-Range: bytes 0-3/10", body=b"0123"),
             GET.sends("X-Tenant: b", "Range: bytes=0-3")
             .gives(206, FRESH, 'ETag: "b"', "Content-Range: bytes 0-3/10", body=b"abcd").asks(),
             GET.sends("X-Tenant: a", "Range: bytes=0-3").hits(1)),
    selected("key-headers", "what answers a POST is kept for nobody",
             POST.sends("X-Tenant: a").gives(FRESH, "Content-Location: {path}"), GET.sends("X-Tenant: a").gives(FRESH).asks()),
    selected("key-cookies", "answers to requests without other cookies are stored, apart by cookie",
             GET.sends("Cookie: session=a").gives(FRESH), GET.sends("Cookie: session=b").gives(FRESH).asks(),
             GET.gives(FRESH).asks(), GET.sends("Cookie: session=a").hits(1)),
    selected("key-cookies", "answers to requests with other cookies are stored only if they are public",
             GET.sends("Cookie: session=a; x=1").gives(FRESH), GET.sends("Cookie: session=a; x=1").gives(PUBLIC).asks(),
             GET.sends("Cookie: x=2; session=a").hits(2), GET.sends("Cookie: session=b").gives(FRESH).asks()),
    selected("key-cookies", "private is still private",
             GET.sends("Cookie: session=a").gives("Cache-Control: private, max-age=60"), GET.sends("Cookie: session=a").gives(FRESH).asks()),
]
