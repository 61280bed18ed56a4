"""No-Vary-Search: answers that do not depend on all of the query"""
from words import GET, HEAD, LATER_S, POST, DELETE, optional, ours, required

FRESH = "Cache-Control: max-age=3600"


def gives(step, *words, **more):
    return step.gives(FRESH, *(f"No-Vary-Search: {word}" for word in words), **more)


def holds(value, one, other):
    return optional(f"No-Vary-Search: {value}: the answer for {one or 'no query'} is one for {other or 'no query'}",
                    gives(GET.at(one), value), GET.at(other).hits(1))


def holds_not(value, one, other):
    return required(f"No-Vary-Search: {value}: the answer for {one or 'no query'} is none for {other or 'no query'}",
                    gives(GET.at(one), value), gives(GET.at(other), value).asks())


ROWS = [
    holds('params=("a")', "?a=1&b=2", "?b=2&a=3"),
    holds('params=("a")', "?b=2", "?a&b=2"),
    holds('params=("a")', "?b=2", "?%61=1&b=%32&&"),
    holds('params=("a")', "?a", ""),
    holds('params=("a")', "?b", "?b=&a=1"),
    holds('params=("%C3%A9+x")', "?b=1", "?b=1&%c3%a9%20x=2"),
    holds("params", "?a=1", ""),
    holds("params", "?a=1", "?b=2"),
    holds('params, except=("a")', "?a=1&b=2", "?c=3&a=1"),
    holds("key-order", "?a=1&b=2&a=3", "?b=2&a=1&a=3"),
    holds('key-order, params=("x")', "?a=1&b=2", "?b=2&x=4&a=1"),
    holds("params=?1, key-order=?0, other=5", "?a=1", "?b=2"),
    holds_not('params=("a")', "?b=2", "?b=3"),
    holds_not('params=("a")', "?b=2", "?A=1&b=2"),
    holds_not('params=("a")', "?b=1&c=2", "?c=2&b=1"),
    holds_not('params, except=("a")', "?a=1", "?a=2"),
    holds_not('params, except=("a")', "?a=1", "?b=1"),
    holds_not("key-order", "?a=1&a=2", "?a=2&a=1"),
    holds_not("key-order", "?a=1", "?a=1&b=2"),
    # What is no valid field says nothing.
    *(holds_not(value, "?a=1", "?a=2") for value in (
        "params=a", 'params="a"', "params=(a)", "params=1", 'params=("a"', 'params=("a"), except=("b")', 'except=("b")', "params, except",
        'params, except=(b)', 'params=("a"), key-order=1', "params=()", "params=?0", "key-order=?0", "PARAMS", "params,", "*", "unknown")),
    required("No-Vary-Search: without it the query counts to the byte",
             GET.at("?a=1&b=2").gives(FRESH), GET.at("?b=2&a=1").gives(FRESH).asks(), GET.at("?a=1&b=2&").gives(FRESH).asks()),
    required("No-Vary-Search: another path is another thing", gives(GET.at("/a?x=1"), "params"), gives(GET.at("/b?x=1"), "params").asks()),
    required("No-Vary-Search: two lines are one value, of which the last member of a name counts",
             gives(GET.at("?a=1&b=1"), 'params=("a")', 'params=("b")'), gives(GET.at("?a=2&b=1"), 'params=("a")', 'params=("b")').asks()),
    required("No-Vary-Search: what is stale is no answer for another query",
             GET.at("?a=1").gives("Cache-Control: max-age=1", "No-Vary-Search: params"),
             GET.at("?a=2").waits(LATER_S).gives(FRESH).asks().sees_no("If-None-Match")),
    required("No-Vary-Search: private is nobody else's",
             GET.at("?a=1").gives("Cache-Control: private, max-age=60", "No-Vary-Search: params"), GET.at("?a=2").gives(FRESH).asks()),
    required("No-Vary-Search: Vary holds",
             GET.at("?a=1").sends("Accept-Language: de").gives(FRESH, "No-Vary-Search: params", "Vary: Accept-Language"),
             GET.at("?a=2").sends("Accept-Language: fr").gives(FRESH, "No-Vary-Search: params", "Vary: Accept-Language").asks()),
    optional("No-Vary-Search: and chooses the variant",
             GET.at("?a=1").sends("Accept-Language: de").gives(FRESH, "No-Vary-Search: params", "Vary: Accept-Language"),
             GET.at("?a=2").sends("Accept-Language: de").hits(1)),
    optional("No-Vary-Search: HEAD is answered, too", gives(GET.at("?a=1"), "params"), HEAD.at("?a=2").hits(1)),
    optional("No-Vary-Search: so are conditions",
             GET.at("?a=1").gives(FRESH, 'ETag: "a"', "No-Vary-Search: params"),
             GET.at("?a=2").sends('If-None-Match: "a"').hits(1).gets(304, body=b"")),
    optional("No-Vary-Search: so are ranges", gives(GET.at("?a=1"), "params", body=b"0123456789"),
             GET.at("?a=2").sends("Range: bytes=2-3").hits(1).gets(206, body=b"23")),
    required("No-Vary-Search: the URL itself comes first",
             GET.at("?a=1").gives(FRESH), gives(GET.at("?a=2"), "params").asks(), GET.at("?a=1").hits(1)),
    required("No-Vary-Search: the answer's own word counts, not that of another",
             GET.at("?a=1&b=1").gives(FRESH, 'No-Vary-Search: params=("a")'), GET.at("?a=2&b=2").gives(FRESH, 'No-Vary-Search: params=("b")').asks(),
             GET.at("?a=3&b=1").gives(FRESH).asks()),
    required("No-Vary-Search: a write drops what would be given for its URL",
             gives(GET.at("?a=1"), "params"), POST.at("?a=2").gives(200).asks(), gives(GET.at("?a=3"), "params").asks()),
    required("No-Vary-Search: and what would be for the URL that Location names",
             gives(GET.at("?a=1"), "params"), POST.at("/new").gives(201, "Location: {path}?a=2").asks(), gives(GET.at("?a=3"), "params").asks()),
    optional("No-Vary-Search: what is short-lived does not shorten what others said",
             gives(GET.at("?a=1"), 'params=("a")'),
             GET.at("?q=1").gives("Cache-Control: max-age=1, must-revalidate", 'No-Vary-Search: params=("a")').asks(),
             GET.at("?a=2").waits(LATER_S).hits(1)),
    required("No-Vary-Search: a write drops what would be given for its URL, though a short-lived answer said the same last",
             gives(GET.at("?a=1"), 'params=("a")'),
             GET.at("?q=1").gives("Cache-Control: max-age=1, must-revalidate", 'No-Vary-Search: params=("a")').asks(),
             POST.at("?a=2").waits(LATER_S).gives(200).asks(),
             gives(GET.at("?q=2"), 'params=("a")').asks(), gives(GET.at("?a=2"), 'params=("a")').asks()),
    required("No-Vary-Search: and though the path's answers said another thing when it came",
             gives(GET.at("?a=1"), 'params=("a")'), gives(GET.at("?q=1"), 'params=("b")').asks(), POST.at("?a=2").gives(200).asks(),
             gives(GET.at("?q=2"), 'params=("a")').asks(), gives(GET.at("?a=2"), 'params=("a")').asks()),
    ours("No-Vary-Search: what is fetched while a write to an equivalent URL comes answers no other query",
         GET.at("?a=1").gives(FRESH, "No-Vary-Search: params", delay_s=0.5).meanwhile(DELETE.at("?a=2").gives(200)),
         gives(GET.at("?a=2"), "params").asks()),
    ours("No-Vary-Search: it is passed on, and Cache-Status says hit",
         gives(GET.at("?a=1"), "params").gets("No-Vary-Search: params"), GET.at("?a=2").hits(1).says("hit").gets("No-Vary-Search: params")),
]
