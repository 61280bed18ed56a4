"""Invalidation: what a write makes untrue (RFC 9111 §4.4)"""
from words import DELETE, GET, HEAD, LATER_S, POST, PUT, method, optional, ours, required

FRESH = "Cache-Control: max-age=3600"
STORED = GET.gives(FRESH)
AGAIN = GET.gives(FRESH).asks()


def write(name, body=b"new"):
    return method(name).sends(body=body)


ROWS = [required(f"RFC 9111 §4.4: {name} that succeeds makes what is stored unusable",
                 STORED, write(name).gives().asks(), AGAIN)
        for name in ("POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FROBNICATE")]
ROWS += [required(f"RFC 9111 §4.4: a {status} is success enough", STORED, PUT.sends(body=b"new").gives(status).asks(), AGAIN)
         for status in (201, 202, 204, 205, 301, 303)]
ROWS += [optional(f"RFC 9111 §4.4: a {status} to a write leaves what is stored",
                  STORED, PUT.sends(body=b"new").gives(status).asks(), GET.hits(1))
         for status in (400, 404, 409, 500, 503)]
ROWS += [optional(f"RFC 9110 §9.2.1: {name} leaves what is stored", STORED, method(name).gives().asks(), GET.hits(1))
         for name in ("OPTIONS",)]
ROWS += [
    required("RFC 9111 §4.4: a write without a body invalidates, too", STORED, DELETE.gives(204).asks(), AGAIN),
    required("RFC 9111 §4.4: after a write a HEAD asks as well",
             STORED, DELETE.gives(204).asks(), HEAD.gives(FRESH).asks()),
    optional("RFC 9111 §4.4: another query of the same path is another URL",
             GET.at("?a=1").gives(FRESH), POST.at("?a=2").sends(body=b"new").gives(), GET.at("?a=1").hits(1)),
    required("RFC 9111 §4.4: all variants go",
             GET.sends("Foo: 1").gives(FRESH, "Vary: Foo"), GET.sends("Foo: 2").gives(FRESH, "Vary: Foo"),
             POST.sends("Foo: 3", body=b"new").gives(),
             GET.sends("Foo: 1").gives(FRESH, "Vary: Foo").asks(), GET.sends("Foo: 2").gives(FRESH, "Vary: Foo").asks()),
    ours("RFC 9111 §4.4: a write with no-store invalidates, too",
         STORED, POST.sends("Cache-Control: no-store", body=b"new").gives(), AGAIN),
    optional("RFC 9111 §4.4: what comes after a write is stored again",
             STORED, POST.sends(body=b"new").gives(), GET.gives(FRESH).asks(), GET.hits(3)),
    required("RFC 9111 §4.4: what Location names on another host stays",
             STORED, POST.at("/other").sends(body=b"new").gives(201, "Location: http://other.example{path}"),
             GET.gives(FRESH).gets(body=b"what step 1 gave\n")),
    required("RFC 9111 §4.4: what Content-Location names on another host stays",
             STORED, POST.at("/other").sends(body=b"new").gives(201, "Content-Location: http://other.example{path}"),
             GET.gives(FRESH).gets(body=b"what step 1 gave\n")),
    required("RFC 9111 §4.4: what Location names with another scheme stays",
             STORED, POST.at("/other").sends(body=b"new").gives(201, "Location: ftp://{host}{path}"),
             GET.gives(FRESH).gets(body=b"what step 1 gave\n")),
    optional("RFC 9111 §4.4: what Location of a failed write names stays",
             STORED, POST.at("/other").sends(body=b"new").gives(409, "Location: {path}"), GET.hits(1)),
    required("RFC 9111 §4.4: Location of a GET invalidates nothing",
             STORED, GET.at("/other").gives(FRESH, "Location: {path}"), GET.gives(FRESH).gets(body=b"what step 1 gave\n")),
    required("RFC 9111 §4.4: what was asked for before a write and comes after it is not kept",
             GET.gives(FRESH, delay_s=0.8).meanwhile(POST.sends(body=b"new").gives(204)), AGAIN),
    required("RFC 9111 §4.4: nor is what confirms the state before it",
             GET.gives("Cache-Control: max-age=1", 'ETag: "a"'),
             GET.waits(LATER_S).gives(304, FRESH, 'ETag: "a"', delay_s=0.8)
             .meanwhile(POST.sends(body=b"new").gives(204)).gets(200),
             GET.gives(FRESH, 'ETag: "b"').gets(200, 'ETag: "b"')),
    optional("RFC 9111 §4.4: what is asked for after the write is kept",
             GET.gives(FRESH, delay_s=0.8).meanwhile(POST.sends(body=b"new").gives(204)), AGAIN, GET.hits(2)),
]
ROWS += [
    optional(f"RFC 9111 §4.4: what {field} of a {name} names {how} goes",
             STORED, write(name).at("/other").gives(201, f"{field}: {value}"), AGAIN)
    for field in ("Location", "Content-Location")
    for name, how, value in (("POST", "by its path", "{path}"), ("PUT", "by its whole URL", "http://{host}{path}"),
                             ("DELETE", "relative to the target", "../{last}"), ("M-SEARCH", "by its path", "{path}"))
    if not (name == "M-SEARCH" and field == "Content-Location")]
ROWS += [
    ours(f"RFC 9111 §4.4: what {field} names by the URL that the origin has goes",
         STORED, POST.at("/other").sends(body=b"new").gives(201, f"{field}: http://{{origin}}{{path}}"), AGAIN)
    for field in ("Location", "Content-Location")]
