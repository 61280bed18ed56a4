"""Ranges and partial answers (RFC 9110 §14, RFC 9111 §3.3 and §3.4)"""
from words import GET, HEAD, optional, ours, required

FRESH = "Cache-Control: max-age=3600"
BODY = b"0123456789"
MODIFIED = "Last-Modified: {now-86400}"
WHOLE = GET.gives(FRESH, 'ETag: "a"', MODIFIED, body=BODY)


def cut_out(name, specification, status, content_range, body, kind=optional):
    """A range of what is stored whole."""
    return kind(name, WHOLE,
                GET.sends(f"Range: {specification}").hits().gets(status, f"Content-Range: {content_range}", body=body))


def ignored(name, *fields, stored=WHOLE, kind=ours):
    """The whole is given from the store in spite of these fields."""
    return kind(name, stored, GET.sends(*fields).hits().gets(200).lacks("Content-Range"))


def part(first, last, *fields, size=10):
    """What an origin gives of BODY."""
    return GET.sends(f"Range: bytes={first}-{last}").gives(
        206, *fields, f"Content-Range: bytes {first}-{last}/{size}", body=BODY[first:last + 1], whole=BODY)


ROWS = [
    cut_out("RFC 9110 §14.1.2: the first bytes", "bytes=0-3", 206, "bytes 0-3/10", b"0123"),
    cut_out("RFC 9110 §14.1.2: bytes in the middle", "bytes=3-5", 206, "bytes 3-5/10", b"345"),
    cut_out("RFC 9110 §14.1.2: one byte", "bytes=9-9", 206, "bytes 9-9/10", b"9"),
    cut_out("RFC 9110 §14.1.2: an open end", "bytes=7-", 206, "bytes 7-9/10", b"789"),
    cut_out("RFC 9110 §14.1.2: an end beyond the last byte", "bytes=7-99", 206, "bytes 7-9/10", b"789"),
    cut_out("RFC 9110 §14.1.2: an end beyond 2^64", "bytes=7-99999999999999999999", 206, "bytes 7-9/10", b"789"),
    cut_out("RFC 9110 §14.1.2: the last bytes", "bytes=-3", 206, "bytes 7-9/10", b"789"),
    cut_out("RFC 9110 §14.1.2: more last bytes than there are", "bytes=-99", 206, "bytes 0-9/10", BODY),
    cut_out("RFC 9110 §14.2: the unit is case-insensitive", "Bytes=0-3", 206, "bytes 0-3/10", b"0123"),
    optional("RFC 9110 §15.5.17: a range beyond the end is a 416 that says how long it is",
             WHOLE, GET.sends("Range: bytes=10-").hits().gets(416, "Content-Range: bytes */10")),
    optional("RFC 9110 §15.5.17: the last 0 bytes cannot be had",
             WHOLE, GET.sends("Range: bytes=-0").hits().gets(416, "Content-Range: bytes */10")),
    ignored("RFC 9110 §14.2: an unknown unit is ignored", "Range: lines=1-2"),
    ignored("RFC 9110 §14.1.1: an end before its beginning is ignored", "Range: bytes=5-3"),
    ignored("RFC 9110 §14.1.1: letters are ignored", "Range: bytes=a-b"),
    ignored("RFC 9110 §14.1.1: no range at all is ignored", "Range: bytes="),
    ignored("RFC 9110 §14.1.1: a minus alone is ignored", "Range: bytes=-"),
    ignored("RFC 9110 §14.1.1: a negative number is ignored", "Range: bytes=-9223372036854775608-3"),
    cut_out("RFC 9110 §14.2: a hundred times the same range is that range", "bytes=" + ",".join(["0-0"] * 100), 206,
            "bytes 0-0/10", b"0", kind=ours),
    cut_out("RFC 9110 §14.2: ranges that touch are one", "bytes=4-5,0-1,2-3", 206, "bytes 0-5/10", b"012345", kind=ours),
    ignored("RFC 9110 §14.2: a hundred ranges are ignored",
            "Range: bytes=" + ",".join(f"{2 * i}-{2 * i}" for i in range(100)), stored=GET.gives(FRESH, body=BODY * 20)),
    optional("RFC 9110 §14.2: a HEAD has no range", WHOLE, HEAD.sends("Range: bytes=0-3").hits().gets(200)),
    optional("RFC 9110 §15.3.7: a 206 from the store has the fields of the 200",
             WHOLE, GET.sends("Range: bytes=0-3").hits().gets(206, 'ETag: "a"', MODIFIED, FRESH, "Date", "Age", body=b"0123")),
    optional("RFC 9110 §15.3.7: a 206 from the store says how long its own body is",
             WHOLE, GET.sends("Range: bytes=0-3").hits().gets(206, "Content-Length: 4", body=b"0123")),
    optional("RFC 9110 §13.1.5: If-Range with the stored ETag",
             WHOLE, GET.sends("Range: bytes=0-3", 'If-Range: "a"').hits().gets(206, body=b"0123")),
    optional("RFC 9110 §13.1.5: If-Range with another ETag: the whole",
             WHOLE, GET.sends("Range: bytes=0-3", 'If-Range: "b"').hits().gets(200)),
    optional("RFC 9110 §13.1.5: If-Range with the stored date",
             WHOLE, GET.sends("Range: bytes=0-3", "If-Range: {now-86400}").hits().gets(206, body=b"0123")),
    ignored("RFC 9110 §13.1.5: If-Range with a later date: the whole", "Range: bytes=0-3", "If-Range: {now}"),
    required("RFC 9110 §13.1.5: If-Range with a date that is not the stored one gets no part of what is stored",
             WHOLE, GET.sends("Range: bytes=0-3", "If-Range: {now}").gives(FRESH, body=BODY).gets(200)),
    required("RFC 9110 §13.1.5: If-Range with another ETag gets no part of what is stored",
             WHOLE, GET.sends("Range: bytes=0-3", 'If-Range: "b"').gives(FRESH, body=BODY).gets(200)),
    ignored("RFC 9110 §13.1.5: If-Range with a weak ETag: the whole", "Range: bytes=0-3", 'If-Range: W/"w"',
            stored=GET.gives(FRESH, 'ETag: W/"w"', body=BODY), kind=ours),
    ours("RFC 9110 §13.2.2: a condition that matches comes before the range",
         WHOLE, GET.sends("Range: bytes=0-3", 'If-None-Match: "a"').hits().gets(304)),
    ours("RFC 9110 §14.2: ranges are of a 200 only",
         GET.gives(404, FRESH, body=BODY), GET.sends("Range: bytes=0-3").hits().gets(404)),

    ours("RFC 9110 §14.2: where nothing is stored the origin sees the range",
             part(0, 3, "Cache-Control: no-store").asks().sees("Range: bytes=0-3")
             .gets(206, "Content-Range: bytes 0-3/10", body=b"0123")),
    required("RFC 9111 §3.3: a part is not given for the whole",
             part(0, 3, FRESH, 'ETag: "a"'), GET.gives(FRESH, 'ETag: "a"', body=BODY).gets(200, body=BODY)),
    required("RFC 9111 §3.3: a part is not given for another part",
             part(0, 3, FRESH, 'ETag: "a"'), part(4, 6, FRESH, 'ETag: "a"').gets(206, 200, body=b"456")),
    optional("RFC 9111 §3.3: a part is given for the same part",
             part(0, 3, FRESH, 'ETag: "a"'), GET.sends("Range: bytes=0-3").hits().gets(206, body=b"0123")),
    optional("RFC 9111 §3.3: a part is given for a part of it",
             part(0, 5, FRESH, 'ETag: "a"'),
             GET.sends("Range: bytes=2-4").hits().gets(206, "Content-Range: bytes 2-4/10", body=b"234")),
    optional("RFC 9111 §3.4: parts that meet are combined",
             part(0, 4, FRESH, 'ETag: "a"'), part(5, 7, FRESH, 'ETag: "a"'),
             GET.sends("Range: bytes=3-6").hits().gets(206, "Content-Range: bytes 3-6/10", body=b"3456")),
    optional("RFC 9111 §3.4: parts that make the whole are the whole",
             part(0, 4, FRESH, 'ETag: "a"'), part(5, 9, FRESH, 'ETag: "a"'), GET.hits().gets(200, body=BODY)),
    required("RFC 9111 §3.4: parts with different ETags are not combined",
             part(0, 4, FRESH, 'ETag: "a"'), part(5, 9, FRESH, 'ETag: "b"'),
             GET.gives(FRESH, 'ETag: "b"', body=BODY).gets(200, body=BODY).asks_if_parts()),
    required("RFC 9111 §3.4: parts with weak ETags are not combined",
             part(0, 4, FRESH, 'ETag: W/"a"'), part(5, 9, FRESH, 'ETag: W/"a"'),
             GET.gives(FRESH, 'ETag: W/"a"', body=BODY).gets(200, body=BODY).asks_if_parts()),
    required("RFC 9111 §3.4: parts without a validator are not combined",
             part(0, 4, FRESH), part(5, 9, FRESH), GET.gives(FRESH, body=BODY).gets(200, body=BODY).asks_if_parts()),
    required("RFC 9111 §3.3: a 206 with no-store is not kept",
             part(0, 3, "Cache-Control: no-store", 'ETag: "a"'), part(0, 3, "Cache-Control: no-store", 'ETag: "a"').asks()),
    required("RFC 9111 §3: a stale part is not given",
             part(0, 3, FRESH, "Age: 7200", 'ETag: "a"'), part(0, 3, FRESH, 'ETag: "a"').asks()),
    required("RFC 9111 §3: a part is one variant's",
             GET.sends("Range: bytes=0-3", "Foo: 1").gives(206, FRESH, 'ETag: "a"', "Vary: Foo", "Content-Range: bytes 0-3/10",
                                                           body=b"0123", whole=BODY),
             GET.sends("Range: bytes=0-3", "Foo: 2").gives(206, FRESH, 'ETag: "b"', "Vary: Foo", "Content-Range: bytes 0-3/10",
                                                           body=b"abcd", whole=b"abcdefghij").gets(206, 200, body=b"abcd")),
    required("RFC 9110 §15.5.17: a range beyond the end of what only the origin has is a 416",
             GET.sends("Range: bytes=99-").gives(416, "Cache-Control: no-store", "Content-Range: bytes */10", whole=BODY)
             .asks().gets(416, 200)),
    required("RFC 9110 §15.5.17: a 416 is not given to who wants no range",
             GET.sends("Range: bytes=99-").gives(416, FRESH, "Content-Range: bytes */10", whole=BODY),
             GET.gives(FRESH, body=BODY).gets(200, body=BODY)),
    required("RFC 9110 §14.2: an origin may give the whole for a range",
             GET.sends("Range: bytes=0-3").gives(FRESH, body=BODY).gets(200, 206)),
    optional("RFC 9111 §3: the whole that came for a range is stored",
             GET.sends("Range: bytes=0-3").gives(FRESH, body=BODY).gets(200, 206), GET.hits().gets(200, body=BODY)),
    ours("RFC 9110 §14.6: several parts pass through as they are",
             GET.sends("Range: bytes=0-1,5-6").gives(206, "Cache-Control: no-store", "Content-Type: multipart/byteranges; boundary=b",
                                                     body=b"--b\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--b--\r\n")
             .gets(206, "Content-Type: multipart/byteranges; boundary=b")),
    ours("RFC 9110 §14.6: two ranges of what is stored are a multipart answer, or the whole",
         WHOLE, GET.sends("Range: bytes=0-1,5-6").hits().gets(200, 206, "Content-Length")),
]
