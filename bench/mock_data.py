"""The data of the mock's workloads: what a db.json holds, and what is asked of it."""

import json

ARTICLES, BIRDS, POSTS = 100, 100, 10_000
USER_POSTS = 10  # of each user
POSTED = json.dumps({"userId": 3, "title": "A nut", "body": "Behind the bark of the third oak, below the moss. " * 4},
                    separators=(",", ":"))


def compact(value):
    return json.dumps(value, separators=(",", ":"))


def padded(record, member, size):
    """The record with so much in `member` that it is `size` bytes of JSON."""
    words = "The nuthatch climbs down the trunk with its head first, which no other bird does. "
    record[member] = ""
    left = size - len(compact(record))
    record[member] = (words * (left // len(words) + 1))[:left]
    return record


def post(number, count):
    users = count // USER_POSTS
    return padded({"id": str(number), "userId": number % users + 1, "title": f"Post {number}"}, "body", 330)


def document():
    """Articles of 1 KiB, birds that fill a list of 33 KiB, and posts of which ten are of each user."""
    return {
        "articles": [padded({"id": str(i), "title": f"Article {i}"}, "body", 1024) for i in range(1, ARTICLES + 1)],
        "birds": [padded({"id": str(i), "name": f"Nuthatch {i}"}, "notes", 330) for i in range(1, BIRDS + 1)],
        "posts": [post(i, POSTS) for i in range(1, POSTS + 1)],
    }


def answers():
    """What is answered, for servers that are told: an item, a list, the posts of user 3, a post that was made."""
    made = document()
    return {"item": compact(made["articles"][41]), "list": compact(made["birds"]),
            "filtered": compact([item for item in made["posts"] if item["userId"] == 3]),
            "posted": compact({"id": str(POSTS + 1), **json.loads(POSTED)})}


def write_large(path, count):
    """A db.json of `count` posts, about 330 bytes each."""
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"posts":[\n')
        for number in range(1, count + 1):
            file.write(compact(post(number, count)) + (",\n" if number < count else "\n"))
        file.write("]}\n")
