"""Groups and keys: Cache-Groups (RFC 9875), surrogate keys, No-Vary-Search"""
from words import GET, POST, ours, required

FRESH = "Cache-Control: max-age=3600"
# A group is known by its name at an origin: rows of one run must not meet, so each has its path in it.
GROUP = 'Cache-Groups: "{path}"'
INVALIDATES = 'Cache-Group-Invalidation: "{path}"'


def member(suffix, *groups):
    return GET.at(suffix).gives(FRESH, *groups)


ROWS = [
    ours("RFC 9875 §3: a write invalidates the group that it names",
         member("/a", GROUP), member("/b", GROUP), POST.at("/w").sends(body=b"x").gives(INVALIDATES),
         GET.at("/a").gives(FRESH).asks(), GET.at("/b").gives(FRESH).asks()),
    ours("RFC 9875 §3: what is in no group stays",
         member("/a", GROUP), member("/c"), POST.at("/w").sends(body=b"x").gives(INVALIDATES), GET.at("/c").hits(2)),
    ours("RFC 9875 §2: groups are case-sensitive",
         member("/a", 'Cache-Groups: "{path}/G"'), POST.at("/w").sends(body=b"x").gives('Cache-Group-Invalidation: "{path}/g"'),
         GET.at("/a").hits(1)),
    ours("RFC 9875 §2: an answer may be in several groups",
         member("/a", 'Cache-Groups: "{path}/1", "{path}/2"'),
         POST.at("/w").sends(body=b"x").gives('Cache-Group-Invalidation: "{path}/2"'), GET.at("/a").gives(FRESH).asks()),
    ours("RFC 9875 §2: in several lines, too",
         member("/a", 'Cache-Groups: "{path}/1"', 'Cache-Groups: "{path}/2"'),
         POST.at("/w").sends(body=b"x").gives('Cache-Group-Invalidation: "{path}/2"'), GET.at("/a").gives(FRESH).asks()),
    ours("RFC 9875 §2.1: 32 groups of 32 characters",
         member("/a", "Cache-Groups: " + ", ".join(f'"{{path}}{i:02}{"x" * 12}"' for i in range(32))),
         POST.at("/w").sends(body=b"x").gives(f'Cache-Group-Invalidation: "{{path}}31{"x" * 12}"'),
         GET.at("/a").gives(FRESH).asks()),
    ours("RFC 9875 §3: a write may name several groups",
         member("/a", 'Cache-Groups: "{path}/1"'), member("/b", 'Cache-Groups: "{path}/2"'),
         POST.at("/w").sends(body=b"x").gives('Cache-Group-Invalidation: "{path}/1", "{path}/2"'),
         GET.at("/a").gives(FRESH).asks(), GET.at("/b").gives(FRESH).asks()),
    required("RFC 9875 §3: Cache-Group-Invalidation of a GET is ignored",
             member("/a", GROUP), GET.at("/w").gives(FRESH, INVALIDATES),
             GET.at("/a").gives(FRESH).gets(body=b"what step 1 gave\n")),
    ours("RFC 9875 §2.2: invalidation does not go on to the other groups of what it meets",
         member("/a", 'Cache-Groups: "{path}/1", "{path}/2"'), member("/b", 'Cache-Groups: "{path}/2"'),
         POST.at("/w").sends(body=b"x").gives('Cache-Group-Invalidation: "{path}/1"'), GET.at("/b").hits(2)),
    ours("RFC 9651 §4.2: a Cache-Group-Invalidation that is not a list of strings is ignored",
         member("/a", GROUP), POST.at("/w").sends(body=b"x").gives('Cache-Group-Invalidation: "{path}",'), GET.at("/a").hits(1)),
    ours("RFC 9875 §2: Cache-Groups is passed on", member("/a", GROUP).gets(GROUP), GET.at("/a").hits().gets(GROUP)),
    ours("RFC 9875 §3: what was asked for before the write and comes after it is not kept",
         GET.at("/a").gives(FRESH, GROUP, delay_s=0.8).meanwhile(POST.at("/w").sends(body=b"x").gives(INVALIDATES)),
         GET.at("/a").gives(FRESH).asks()),
    ours("RFC 9875 §3: what was fetched after the write stays",
         member("/a", GROUP), POST.at("/w").sends(body=b"x").gives(INVALIDATES), member("/a", GROUP).asks(), GET.at("/a").hits(3)),
]
ROWS += [
    ours(f"Out of the box: {name} is for us, and goes no further",
         GET.gives(FRESH, f"{name}: {value}").lacks(name), GET.hits().lacks(name))
    for name, value in (("Surrogate-Key", "a b"), ("Cache-Tag", "a,b"), ("xkey", "a b"))]
