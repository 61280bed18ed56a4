"""Vary: which of several answers of one URL (RFC 9111 §4.1)"""
from words import GET, HEAD, LATER_S, optional, ours, required

SHORT = ("Cache-Control: max-age=1", "Vary: Foo")


def answer(*varies):
    return ("Cache-Control: max-age=3600", *(f"Vary: {vary}" for vary in varies))


def same(kind, name, varies, first, second):
    """The second request is answered by what the first brought."""
    return kind(name, GET.sends(*first).gives(*answer(*varies)), GET.sends(*second).hits())


def other(name, varies, first, second):
    return required(name, GET.sends(*first).gives(*answer(*varies)), GET.sends(*second).gives(*answer(*varies)).asks())


ROWS = [
    same(optional, "RFC 9111 §4.1: the same value of a field in Vary", ["Foo"], ["Foo: 1"], ["Foo: 1"]),
    other("RFC 9111 §4.1: another value of a field in Vary", ["Foo"], ["Foo: 1"], ["Foo: 2"]),
    other("RFC 9111 §4.1: a field in Vary that is gone", ["Foo"], ["Foo: 1"], []),
    other("RFC 9111 §4.1: a field in Vary that was not there", ["Foo"], [], ["Foo: 1"]),
    other("RFC 9111 §4.1: an empty field is not an absent one", ["Foo"], ["Foo:"], []),
    same(optional, "RFC 9111 §4.1: a field in Vary that neither request has", ["Foo"], [], []),
    same(optional, "RFC 9111 §4.1: fields that Vary does not name may differ", ["Foo"], ["Foo: 1", "Bar: 1"], ["Foo: 1", "Bar: 2"]),
    same(optional, "RFC 9111 §4.1: two fields in Vary, both the same", ["Foo, Bar"], ["Foo: 1", "Bar: 2"], ["Bar: 2", "Foo: 1"]),
    other("RFC 9111 §4.1: two fields in Vary, the second another", ["Foo, Bar"], ["Foo: 1", "Bar: 1"], ["Foo: 1", "Bar: 2"]),
    other("RFC 9111 §4.1: two fields in Vary, values swapped", ["Foo, Bar"], ["Foo: 1", "Bar: 2"], ["Foo: 2", "Bar: 1"]),
    other("RFC 9110 §12.5.5: Vary in two lines, the second field another", ["Foo", "Bar"], ["Bar: 1"], ["Bar: 2"]),
    other("RFC 9110 §12.5.5: names in Vary are case-insensitive", ["fOO"], ["Foo: 1"], ["Foo: 2"]),
    same(optional, "RFC 9110 §5.1: names in requests are case-insensitive", ["Foo"], ["FOO: 1"], ["foo: 1"]),
    other("RFC 9111 §4.1: values are not case-insensitive in general", ["Foo"], ["Foo: a"], ["Foo: A"]),
    other("RFC 9110 §12.5.5: empty members of Vary are ignored", [", Foo ,"], ["Foo: 1"], ["Foo: 2"]),
    other("RFC 9111 §4.1: Vary: *", ["*"], ["Foo: 1"], ["Foo: 1"]),
    other("RFC 9111 §4.1: * beside a name", ["Foo, *"], ["Foo: 1"], ["Foo: 1"]),
    other("RFC 9111 §4.1: * before a name", ["*, Foo"], ["Foo: 1"], ["Foo: 1"]),
    other("RFC 9111 §4.1: * in a second line", ["Foo", "*"], ["Foo: 1"], ["Foo: 1"]),
    other("RFC 9111 §4.1: * in a first line", ["*", "Foo"], ["Foo: 1"], ["Foo: 1"]),
    same(optional, "RFC 9111 §4.1: an empty Vary names nothing", [""], ["Foo: 1"], ["Foo: 2"]),
    same(optional, "RFC 9111 §4.1: whitespace around the members of a list does not matter", ["Foo"], ["Foo: 1,2"], ["Foo: 1, 2"]),
    same(optional, "RFC 9111 §4.1: one line or several does not matter", ["Foo"], ["Foo: 1, 2"], ["Foo: 1", "Foo: 2"]),
    other("RFC 9111 §4.1: the order of lines matters", ["Foo"], ["Foo: 1", "Foo: 2"], ["Foo: 2", "Foo: 1"]),
    other("RFC 9111 §4.1: an answer that varies by Cookie is one client's",
          ["Cookie"], ["Cookie: a=1"], ["Cookie: a=2"]),
    other("RFC 9111 §4.1: Vary: Origin", ["Origin"], ["Origin: http://a.example"], ["Origin: http://b.example"]),
    other("RFC 9111 §4.1: Vary: User-Agent", ["User-Agent"], ["User-Agent: a"], ["User-Agent: b"]),
    other("RFC 9111 §4.1: Vary: Accept", ["Accept"], ["Accept: text/html"], ["Accept: application/json"]),
    other("RFC 9111 §4.1: another Accept-Language", ["Accept-Language"], ["Accept-Language: de"], ["Accept-Language: fr"]),
    same(optional, "RFC 9111 §4.1: whitespace in Accept-Language does not matter",
         ["Accept-Language"], ["Accept-Language: de,en;q=0.5"], ["Accept-Language: de, en;q=0.5"]),
    same(ours, "RFC 9111 §4.1: Accept-Encoding is compared by what it takes, not by how it is written",
         ["Accept-Encoding"], ["Accept-Encoding: gzip, deflate, br"], ["Accept-Encoding: br, gzip"]),
    same(ours, "RFC 9110 §12.5.3: gzip;q=1.0 is gzip",
         ["Accept-Encoding"], ["Accept-Encoding: gzip"], ["Accept-Encoding: gzip;q=1.0"]),
    required("RFC 9110 §12.5.3: br;q=0 is not br",
             GET.sends("Accept-Encoding: br").gives(*answer("Accept-Encoding"), "Content-Encoding: br"),
             GET.sends("Accept-Encoding: br;q=0").gives(*answer("Accept-Encoding")).asks()),
    required("RFC 9111 §4.1: what is coded is not for a client that does not say it takes the coding",
             GET.sends("Accept-Encoding: br").gives(*answer("Accept-Encoding"), "Content-Encoding: br"),
             GET.gives(*answer("Accept-Encoding")).asks()),
    optional("RFC 9111 §4.1: two variants are both stored",
             GET.sends("Foo: 1").gives(*answer("Foo")), GET.sends("Foo: 2").gives(*answer("Foo")),
             GET.sends("Foo: 1").hits(1), GET.sends("Foo: 2").hits(2)),
    optional("RFC 9111 §4.1: three variants, one of them without the field",
             GET.sends("Foo: 1").gives(*answer("Foo")), GET.gives(*answer("Foo")), GET.sends("Foo: 2").gives(*answer("Foo")),
             GET.hits(2), GET.sends("Foo: 1").hits(1), GET.sends("Foo: 2").hits(3)),
    optional("RFC 9111 §4.1: a HEAD is answered by the variant that it asks for",
             GET.sends("Foo: 1").gives(*answer("Foo"), "X-Which: one"), GET.sends("Foo: 2").gives(*answer("Foo")),
             HEAD.sends("Foo: 1").hits(1).gets("X-Which: one")),
    required("RFC 9111 §4.1: a HEAD is not answered by another variant",
             GET.sends("Foo: 1").gives(*answer("Foo")), HEAD.sends("Foo: 2").gives(*answer("Foo")).asks()),
    optional("RFC 9111 §4.3.1: each variant is validated by its own ETag",
             GET.sends("Foo: 1").gives(*SHORT, 'ETag: "one"'), GET.sends("Foo: 2").gives(*SHORT, 'ETag: "two"'),
             GET.waits(LATER_S).sends("Foo: 1").validates(*answer("Foo"), 'ETag: "one"', from_step=1).sees('If-None-Match: "one"'),
             GET.sends("Foo: 2").validates(*answer("Foo"), 'ETag: "two"', from_step=2).sees('If-None-Match: "two"'),
             GET.sends("Foo: 1").hits(1), GET.sends("Foo: 2").hits(2)),
    required("RFC 9111 §4.3.4: what confirms one variant makes no other fresh",
             GET.sends("Foo: 1").gives(*SHORT, 'ETag: "one"'), GET.sends("Foo: 2").gives(*SHORT, 'ETag: "two"'),
             GET.waits(LATER_S).sends("Foo: 1").validates(*answer("Foo"), 'ETag: "one"', from_step=1),
             GET.sends("Foo: 2").gives(*answer("Foo")).asks()),
    required("RFC 9111 §4.1: forty variants are kept apart",
             *(GET.sends(f"Foo: {i}").gives(*answer("Foo"), echo="Foo").gets(200, body=b"%d" % i) for i in range(40)),
             *(GET.sends(f"Foo: {i}").gives(*answer("Foo"), echo="Foo").gets(200, body=b"%d" % i) for i in range(40))),
    required("RFC 9110 §12.5.5: Vary arrives as it was sent",
             GET.sends("Foo: 1").gives(*answer("Foo, Bar", "Baz")).verbatim(),
             GET.sends("Foo: 1").hits().verbatim()),
    required("RFC 9111 §4.1: the newest Vary decides",
             GET.sends("Foo: 1").gives(*answer("Foo")),
             GET.sends("Foo: 2", "Bar: 1").gives(*answer("Foo, Bar")),
             GET.sends("Foo: 2", "Bar: 2").gives(*answer("Foo, Bar")).asks()),
    required("RFC 9111 §4.1: a URL that began to vary does not give its first answer to all",
             GET.sends("Foo: 1").gives("Cache-Control: max-age=1"),
             GET.waits(LATER_S).sends("Foo: 1").gives(*answer("Foo")).asks(),
             GET.sends("Foo: 2").gives(*answer("Foo")).asks()),
]
