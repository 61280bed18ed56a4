#!/usr/bin/python3
"""Random requests, sent to the mock and to the real json-server, in both of its generations: the answers are the same.

    test_mock_differential.py [--seed N] [--requests N] [--compat 0.17|1] [--all]

Of each answer status, JSON, X-Total-Count, the pages that Link leads to and Location's path are compared. Where we differ on
purpose is in EXPECTED, with the reason: what else differs fails the test. Ids that a server made up are compared by when they
were made. To ask something new, write a function that takes an Asker and returns a Request, and name it in KINDS.
"""
import argparse, http.client, json, os, pathlib, random, re, subprocess, sys, tempfile, urllib.parse
from harness import Nuthatch, Process

FOLDER = pathlib.Path(__file__).resolve().parent
MODULES = {"0.17": FOLDER / "node_modules/json-server-0", "1": FOLDER / "node_modules/json-server-1"}
DIFFERENCES_MAX = 10  # then it is enough

# ---- the data -----------------------------------------------------------------------------------

WORDS = ["a", "B", "b", "Hello World", "hello", "10", "9", "1.0", "", "x+y", "50%", "a&b=c", "été", "Été", "zoo", "tab\there", "Zürich", "señor", "senor", "Ж", "#1", "[x]",
         'quote"d', "back\\slash", "😀 bird", "true", "null", "<b>", "a.b", "x_gte", "  padded ", "line\nend", "Zoo", "-3"]
NUMBERS = [0, 1, -1, 2, 7, 10, 99, 100, 250, 1.5, -2.25, 0.1, 1e21, 1e-7, 123456789012, 4.5]
WORDS_OF, NUMBERS_OF = ("title", "author", "body", "name", "label"), ("views", "check_in", "n", "stars")
MIXED = [5, "5", True, False, None, "true", "", 0, "0", "word", 1.5, "1.5"]


def some_data(r, compat):
    def id_of(number):
        return number if compat == "0.17" else str(number)

    post_count = r.choice([3, 30, 80])

    def post(number):
        item = {"id": id_of(number), "title": r.choice(WORDS), "author": r.choice(["ann", "bob", "Cy", "ann"]),
                "views": r.choice(NUMBERS), "published": r.random() < 0.5}
        if r.random() < 0.8:
            item["meta"] = {"rating": r.choice(NUMBERS), "tags": r.sample(["a", "b", "c"], r.randint(0, 3)),
                            "by": {"name": r.choice(WORDS)}} if r.random() < 0.9 else None
        if r.random() < 0.7:
            item["maybe"] = r.choice(MIXED)
        if r.random() < 0.9:
            item["userId"] = id_of(r.randint(1, 5))
        return item

    return {
        "posts": [post(number + 1) for number in range(post_count)],
        "comments": [{"id": id_of(number + 1), "body": r.choice(WORDS), "postId": id_of(r.randint(1, post_count)),
                      "check_in": r.choice(NUMBERS)} for number in range(r.choice([5, 90]))],
        "users": [{"id": id_of(number + 1), "name": r.choice(WORDS)} for number in range(5)],
        "tags": [{"id": name, "label": r.choice(WORDS)} for name in ("abc", "def", "Ghi", "j k", "été")],
        "reviews": [{"id": f"r{number}", "tagId": r.choice(["abc", "def", "Ghi"]), "stars": r.randint(1, 5)}
                    for number in range(12)],
        "many": [{"id": id_of(number + 1), "n": number % 7} for number in range(25)],
        "words": [{"id": f"w{number}", "word": word} for number, word in enumerate(r.sample(WORDS, len(WORDS)))],
        "empty": [],
        "profile": {"name": "typicode", "opts": {"a": 1, "b": [2, None]}},
    }


# ---- requests -----------------------------------------------------------------------------------


class Request:
    def __init__(self, method, path, pairs=(), body=None):
        self.method, self.path, self.pairs, self.body = method, path, list(pairs), body

    def names(self):
        return [name for name, _ in self.pairs]

    def target(self):
        return self.path + ("?" + "&".join(f"{quote(name)}={quote(value)}" for name, value in self.pairs) if self.pairs else "")

    def __str__(self):
        return f"{self.method} {self.target()} {'' if self.body is None else json.dumps(self.body)}"


def quote(text):
    return urllib.parse.quote(text, safe="-_.~:,")


class Asker:
    """Knows what is there, so that most of what it asks for is."""

    def __init__(self, r, compat, data):
        self.r, self.compat, self.data = r, compat, data

    def collection(self):
        return self.r.choice(["posts", "posts", "posts", "comments", "comments", "users", "tags", "reviews", "many", "empty"])

    def an_id(self, name):
        roll = self.r.random()
        if roll < 0.1 or not self.data[name]:
            return self.r.choice(["99", "0", "-1", "01", "1.0", "nosuch", "", "ABC", "1e0", "null"])
        return str(self.r.choice(self.data[name])["id"])

    def members(self, name):
        found = {"id", "nosuch"}
        if self.r.random() < 0.2:
            found.add("nosuch.deep")
        for item in self.data[name]:
            for member, value in item.items():
                found.add(member)
                if isinstance(value, dict):
                    found |= {f"{member}.{inner}" for inner in value}
        return sorted(found)

    def value_of(self, name, member):
        """What a query might ask of it."""
        if self.data[name] and self.r.random() < 0.7:
            value = self.r.choice(self.data[name])
            for part in member.split("."):
                value = value.get(part) if isinstance(value, dict) else None
        else:
            value = self.r.choice(WORDS + NUMBERS + MIXED)
        if isinstance(value, str):
            return value
        if isinstance(value, (dict, list)):
            return self.r.choice(["a", "a,b", "[object Object]", ""])
        return javascript_text(value)

    def filters(self, name, count):
        pairs = []
        for _ in range(count):
            member = self.r.choice(self.members(name))
            roll = self.r.random()
            if roll < 0.5:
                pairs.append((member, self.value_of(name, member)))
            elif self.compat == "0.17":
                operation = self.r.choice(["_gte", "_lte", "_ne", "_like"])
                value = self.value_of(name, member)
                if operation == "_like":
                    value = re.sub(r"[^\w ]", "", value) if roll < 0.9 else self.r.choice(["^h", "o$", "a|b", "[a-c]", "l+", "."])
                pairs.append((member + operation, value))
            else:
                operation = self.r.choice(["lt", "lte", "gt", "gte", "eq", "ne", "in", "contains", "startsWith", "endsWith"])
                value = self.value_of(name, member)
                if operation == "in":
                    value = ",".join([value.replace(",", "")] + [self.value_of(name, member) for _ in range(self.r.randint(0, 3))])
                pairs.append((member + (":" if roll < 0.9 or operation[-4:] == "With" else "_") + operation, value))
        if count > 0 and self.r.random() < 0.15:
            pairs.append((pairs[0][0], self.value_of(name, self.r.choice(self.members(name)))))
        return pairs

    def sort(self, name):
        members = [self.r.choice(self.members(name)) for _ in range(self.r.choice([1, 1, 1, 2, 3]))]
        if self.compat == "1":
            return [("_sort", ",".join(self.r.choice(["", "-"]) + member for member in members))]
        pairs = [("_sort", ",".join(members))]
        if self.r.random() < 0.6:
            pairs.append(("_order", ",".join(self.r.choice(["asc", "desc", "DESC"]) for _ in members)))
        return pairs

    def number(self):
        return str(self.r.choice([0, 1, 1, 1, 2, 2, 3, 4, 5, 10, 12, 25, 30, 1000])) if self.r.random() < 0.9 else \
            self.r.choice(["-1", "-5", "abc", "", "1.9", "2x", " 2", "99999999999999999999"])

    def part(self):
        if self.compat == "1":
            return [("_page", self.number())] + ([("_per_page", self.number())] if self.r.random() < 0.7 else [])
        roll = self.r.random()
        if roll < 0.5:
            return [("_page", self.number())] + ([("_limit", self.number())] if self.r.random() < 0.7 else [])
        if roll < 0.8:
            return [("_start", self.number()), (self.r.choice(["_end", "_limit"]), self.number())]
        return [(self.r.choice(["_limit", "_end", "_start"]), self.number())]

    def relations(self, name):
        related = {"posts": [("_embed", "comments"), ("_expand", "user")], "comments": [("_expand", "post")],
                   "users": [("_embed", "posts")], "tags": [("_embed", "reviews")], "reviews": [("_expand", "tag")]}
        pairs = [pair for pair in related.get(name, []) if self.r.random() < 0.7]
        if self.compat == "1":
            pairs = [("_embed", value) for _, value in pairs]
        if self.r.random() < 0.1:
            pairs.append(("_embed", self.r.choice(["nosuch", "many", "profile", "tag", "empty"])))
        return pairs


def read_list(ask):
    name = ask.collection()
    pairs = ask.filters(name, ask.r.choice([0, 1, 1, 1, 2, 3]))
    for make, chance in ((ask.sort, 0.4), (lambda _: ask.part(), 0.4), (ask.relations, 0.2)):
        if ask.r.random() < chance:
            pairs += make(name)
    if ask.compat == "0.17" and ask.r.random() < 0.15:
        pairs.append(("q", ask.r.choice(WORDS + ["HELLO", "4.5", "e", "true", "1"])))
    ask.r.shuffle(pairs)
    return Request("GET", f"/{name}", pairs)


def read_item(ask):
    name = ask.collection()
    return Request("GET", f"/{name}/{quote(ask.an_id(name))}", ask.relations(name) if ask.r.random() < 0.5 else [])


def where(ask, depth):
    """An object of conditions for the words, which all have what is asked of them."""
    if depth > 0 and ask.r.random() < 0.5:
        return {"or": [where(ask, depth - 1) for _ in range(ask.r.randint(0, 3))], **(where(ask, 0) if ask.r.random() < 0.3 else {})}
    operations = ask.r.sample(["lt", "lte", "gt", "gte", "eq", "ne", "in", "contains", "startsWith", "endsWith"], ask.r.choice([1, 1, 2]))
    return {"word": {operation: [ask.r.choice(WORDS) for _ in range(3)] if operation == "in" else
                     ask.r.choice(WORDS) if ask.r.random() < 0.8 else ask.r.choice(MIXED) for operation in operations}}


def read_where(ask):
    if ask.compat == "0.17":
        return read_words(ask)
    return Request("GET", "/words", [("_where", json.dumps(where(ask, 2)))] + (ask.sort("words") if ask.r.random() < 0.3 else []))


def read_words(ask):
    """Nothing changes these, so that they are all of one kind."""
    pairs = ask.sort("words") if ask.r.random() < 0.8 else []
    pairs += ask.filters("words", ask.r.choice([0, 0, 1, 2])) + (ask.part() if ask.r.random() < 0.3 else [])
    return Request("GET", "/words", pairs)


def read_nested(ask):
    if ask.compat == "1":
        return read_item(ask)
    name, nested = ask.r.choice([("posts", "comments"), ("tags", "reviews"), ("users", "posts"), ("posts", "nosuch")])
    pairs = ask.filters(nested, 1) if nested in ask.data and ask.r.random() < 0.3 else []
    return Request("GET", f"/{name}/{quote(ask.an_id(name))}/{nested}", pairs + (ask.part() if ask.r.random() < 0.3 else []))


def read_else(ask):
    path = ask.r.choice(["/profile", "/nosuch", "/nosuch/1", "/profile/name", "/posts/1/2/3/4", "/posts/", "/db"])
    return Request("GET", path)


def member_value(ask, member):
    """Mostly of the kind that the member has elsewhere."""
    if ask.r.random() < 0.05:
        return ask.r.choice(MIXED + [[1, {"x": None}], {}])
    kinds = {WORDS_OF: WORDS, NUMBERS_OF: NUMBERS, ("published",): [True, False]}
    return ask.r.choice(next((values for members, values in kinds.items() if member in members), MIXED))


def item(ask, name):
    members = {ask.r.choice(ask.members(name)).split(".")[0] for _ in range(ask.r.randint(0, 5))}
    made = {member: member_value(ask, member) for member in sorted(members)}
    made.pop("id", None)
    for key, to in (("postId", "posts"), ("userId", "users"), ("tagId", "tags")):
        if key in made:  # json-server 0.17 removes whatever refers to nothing, with the next DELETE of anything
            del made[key]
            if ask.data[to]:
                made[key] = ask.r.choice(ask.data[to])["id"]
    return made


def create(ask):
    name = ask.collection()
    body = item(ask, name)
    if ask.compat == "0.17" and name not in ("tags", "reviews") and ask.r.random() < 0.1:
        body["id"] = ask.r.choice([1, 2, 500, 501])
    return Request("POST", f"/{name}", body=body)


def create_nested(ask):
    if ask.compat == "1":
        return create(ask)
    if not ask.data["posts"]:
        return create(ask)
    return Request("POST", f"/posts/{ask.r.choice(ask.data['posts'])['id']}/comments", body=item(ask, "comments"))


def change(ask):
    name = ask.collection()
    body = item(ask, name)
    if ask.r.random() < 0.1:
        body["id"] = 77
    return Request(ask.r.choice(["PUT", "PATCH"]), f"/{name}/{quote(ask.an_id(name))}", body=body)


def change_object(ask):
    return Request(ask.r.choice(["PUT", "PATCH"]), "/profile", body=item(ask, "posts"))


def remove(ask):
    name = ask.collection()
    if ask.compat == "0.17" and name == "users":
        name = "tags"  # of what refers to a user's posts json-server removes nothing yet
    return Request("DELETE", f"/{name}/{quote(ask.an_id(name))}")


def read_all(ask):
    return Request("GET", f"/{ask.r.choice(list(ask.data))}")


KINDS = {read_list: 30, read_words: 6, read_where: 6, read_item: 8, read_nested: 5, read_else: 2, create: 4, create_nested: 2, change: 5, change_object: 1, remove: 3,
         read_all: 3}

# ---- answers ------------------------------------------------------------------------------------


def javascript_text(value):
    """What JavaScript's String() makes of a number, true, false or null."""
    if isinstance(value, float):
        text = repr(value)
        if value.is_integer():
            return str(int(value)) if abs(value) < 1e21 else re.sub(r"\.0(?=e)", "", text)
        return re.sub(r"e-0", "e-", text)
    return json.dumps(value)


class Server:
    """One of the two, and the ids that it has made up."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.ids = []

    def with_ids(self, text, written):
        return re.sub(r"MADE-(\d+)-", lambda found: written(self.ids[int(found[1])]), text)

    def ask(self, request):
        """The answer; ids that were made up as MADE-n-."""
        body = None if request.body is None else self.with_ids(json.dumps(request.body), str)
        self.connection.request(request.method, self.with_ids(request.target(), quote), body,
                                {"Content-Type": "application/json"} if body is not None else {})
        response = self.connection.getresponse()
        content = response.read().decode(errors="replace")
        if request.method == "POST" and response.status == 201 and "/profile" not in request.path:
            self.ids.append(str(json.loads(content)["id"]))
        return Answer(response, content, self.ids)


class Answer:
    def __init__(self, response, content, ids):
        self.status = response.status
        try:
            self.value = same_ids(json.loads(content), ids)
        except ValueError:
            self.value = f"no JSON: {content[:60]}"
        link = response.getheader("Link") or ""
        self.pages = {name: int(page) for page, name in re.findall(r'[?&]_page=(\d+)[^>]*>; rel="(\w+)"', link)}
        self.total = response.getheader("X-Total-Count")
        self.location = same_ids(urllib.parse.unquote((response.getheader("Location") or "").rsplit("/", 1)[-1]), ids)

    def told(self):
        """All that is compared."""
        return json.dumps([self.status, self.value, self.pages, self.total, self.location], sort_keys=True)

    def __str__(self):
        text = json.dumps(self.value)
        if isinstance(self.value, list) and len(text) > 300:
            text = f"{len(self.value)} items: {[one.get('id') for one in self.value if isinstance(one, dict)]}"
        return f"{self.status} {text[:600]} pages {self.pages} total {self.total} location {self.location!r}"


def same_ids(value, ids):
    """`value` with names for made-up ids, and whole numbers as such."""
    if isinstance(value, dict):
        return {name: same_ids(member, ids) for name, member in value.items()}
    if isinstance(value, list):
        return [same_ids(member, ids) for member in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and len(value) >= 7 and value in ids:
        return f"MADE-{ids.index(value)}-"
    return value


# ---- what differs on purpose --------------------------------------------------------------------

def filtered(request):
    """The members that its conditions are about."""
    return [re.split(r":|_(?:[lg]te?|ne|like|in|eq)$", name)[0] for name in request.names() if name[0] != "_" and name != "q"]


def value_at(item, member):
    for part in member.split("."):
        item = item.get(part, "nothing") if isinstance(item, dict) else "nothing"
    return item


def values_of(data, request, member):
    return [value_at(item, member) for item in data.get(request.path.split("/")[-1], [])]


def kinds_of(data, request):
    """For each member that is sorted by, the kinds of values that it has."""
    lists = [value for name, value in request.pairs if name == "_sort"]
    for member in ",".join(lists).split(","):
        yield {value if value in (None, False, "", "nothing") and not isinstance(value, int) or value is False
               else type(value).__name__ for value in map(hashable, values_of(data, request, member.lstrip("-")))}


def hashable(value):
    return () if isinstance(value, (dict, list)) else float(value) if type(value) is int else value


def sorts_mixed_values(data, request):
    return any(len(kinds - {None, "nothing"}) > 1 or "tuple" in kinds for kinds in kinds_of(data, request))


def sorts_nothings(data, request):
    return any(len(kinds & {None, False, "", "nothing"}) > 1 or "tuple" in kinds or
               len(kinds & {"str", "float", "bool"}) > 1 for kinds in kinds_of(data, request))


def orders_made_up_ids(data, request):
    members = re.split("[,-]", dict(request.pairs).get("_sort", "")) + filtered(request)
    if "q" in request.names() and "MADE-" in json.dumps(data[request.path.split("/")[-1]]):
        return True  # any text may be in one
    return any(member[-2:] in ("id", "Id") and "MADE-" in json.dumps(values_of(data, request, member)) for member in members)


def asks_beyond(request, theirs, ours):
    """Whether they differ by items in which a condition is about a member of what has no members."""
    members = filtered(request)
    beyond = [member for member in members if "." in member]
    if any(member.startswith(other + ".") for member in members for other in members):
        return True  # json-server 1 heeds but one of the two
    if not isinstance(theirs.value, list) or not isinstance(ours.value, list):
        return bool(beyond)
    return beyond and ours.value == [item for item in theirs.value if "nothing" not in
                                     [hashable(value_at(item, member)) for member in beyond]]


def has_text_references(data, request):
    return any(isinstance(item.get(key), str) for name in ("comments", "posts") for item in data[name] for key in ("postId", "userId"))


# Each: why, and whether an answer differs for that reason: of the request, the two answers and the data.
EXPECTED = {
    "0.17": [
        ("json-server fails with a stack trace", lambda q, theirs, ours, data: theirs.status == 500 and ours.status < 500),
        ("a method that a place does not take is 405", lambda q, theirs, ours, data: theirs.status == 404 and ours.status == 405),
        ("a nested list is of what refers to the item, whatever else is asked of it",
         lambda q, theirs, ours, data: q.path.count("/") == 3 and any(name[-2:] == "Id" for name in q.names())),
        ("values of several kinds have an order of their own", lambda q, theirs, ours, data: sorts_mixed_values(data, q)),
        ("ids that were made up are in no order", lambda q, theirs, ours, data: orders_made_up_ids(data, q)),
        ("links lead to pages that there are",
         lambda q, theirs, ours, data: not re.fullmatch("[1-9][0-9]*", dict(q.pairs).get("_page", "1")) and theirs.value == ours.value),
        ("a page has one item at least",
         lambda q, theirs, ours, data: "_page" in q.names() and dict(q.pairs).get("_limit", "")[:1] == "-"),
        ("ids and references are text: '1' refers to 1",
         lambda q, theirs, ours, data: "_embed" in q.names() and has_text_references(data, q)),
    ],
    "1": [
        ("a method that a place does not take is 405", lambda q, theirs, ours, data: theirs.status == 404 and ours.status == 405),
        ("/db is there, too", lambda q, theirs, ours, data: q.path == "/db"),
        ("a condition on a member of what is not there does not hold",
         lambda q, theirs, ours, data: asks_beyond(q, theirs, ours)),
        ("what is embedded by the name of a collection is of that collection, 'many' and 'empty' too",
         lambda q, theirs, ours, data: any(("_embed", name) in q.pairs for name in ("many", "empty"))),
        ("a member called check_in is one", lambda q, theirs, ours, data: "check_in" in q.names()),
        ("ids are text, and asked for as such", lambda q, theirs, ours, data: "id" in filtered(q)),
        ("ids that were made up are in no order", lambda q, theirs, ours, data: orders_made_up_ids(data, q)),
        ("values of several kinds have an order of their own", lambda q, theirs, ours, data: sorts_nothings(data, q)),
    ],
}


def reason_of(compat, *case):
    return next((reason for reason, holds in EXPECTED[compat] if holds(*case)), None)


# ---- playing ------------------------------------------------------------------------------------


def play(compat, seed, request_count, shows_all):
    """How many answers differ without a reason, and how many for which."""
    r = random.Random(f"{seed}/{compat}")
    data = some_data(r, compat)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "db.json")
        pathlib.Path(path).write_text(json.dumps(data))
        theirs = Process(["node", str(FOLDER / "json_server.mjs"), compat, path], cwd=folder)
        try:
            port = int(theirs.wait_for(r"ready on \S+:(\d+)\n")[0])
            with Nuthatch("mock", path, "--compat", compat, "--ephemeral", "--threads", "1", listen="http://127.0.0.1:0") as mock:
                return compare(r, compat, data, Server(port), Server(mock.port), request_count, shows_all)
        finally:
            theirs.stop()


def compare(r, compat, data, theirs, ours, request_count, shows_all):
    asker, wrong, reasons = Asker(r, compat, data), 0, {}
    kinds, weights = zip(*KINDS.items())
    for _ in range(request_count):
        request = r.choices(kinds, weights)[0](asker)
        a, b, before = theirs.ask(request), ours.ask(request), asker.data
        if len(theirs.ids) != len(ours.ids):
            print(f"one of them alone made an item, and what follows cannot be compared:\n  {request}\n  json-server: {a}\n  nuthatch:    {b}")
            return wrong + 1, reasons
        if request.method != "GET":
            asker.data = ours.ask(Request("GET", "/db")).value
        if a.location == "":
            b.location = ""  # json-server 1 has none
        if a.told() == b.told():
            continue
        reason = reason_of(compat, request, a, b, before)
        if reason is not None:
            reasons[reason] = reasons.get(reason, 0) + 1
            continue
        wrong += 1
        print(f"{request}\n  json-server: {a}\n  nuthatch:    {b}")
        if wrong == DIFFERENCES_MAX and not shows_all:
            break
    return wrong, reasons


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=20261129)
    options.add_argument("--requests", type=int, default=600)
    options.add_argument("--compat", choices=sorted(MODULES), action="append")
    options.add_argument("--all", action="store_true", help="do not stop after some differences")
    options = options.parse_args()
    seed = options.seed
    print(f"--seed {seed}", flush=True)
    node_version = int(re.match(r"v(\d+)", subprocess.run(["node", "--version"], capture_output=True, text=True).stdout)[1])
    failed = 0
    for compat in options.compat or sorted(MODULES):
        if compat == "1" and node_version < 20:
            print("  json-server 1 needs a newer Node.js: left out")
            continue
        if not MODULES[compat].exists():
            sys.exit(f"no {MODULES[compat]}: npm ci --prefix tests/clients")
        wrong, reasons = play(compat, seed, options.requests, options.all)
        for reason, count in sorted(reasons.items()):
            print(f"  {compat}: {count} differ on purpose: {reason}")
        failed += wrong
    if failed:
        sys.exit(f"{failed} answers differ; again with --seed {seed}")


if __name__ == "__main__":
    main()
