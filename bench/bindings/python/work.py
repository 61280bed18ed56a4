"""The work of one contestant, measured in a process of its own: `work.py SUBJECT ITEMS VALUE_BYTES OPERATIONS THREADS`.

Fills a cache with items, every key and value an object of its own; then each thread reads by Zipf 0.99, puts, and reads a
hundred keys at once. Keys are made anew for each operation, as a program makes them. Prints JSON: nanoseconds of the
processor for each operation, of a hundred at once for each key, without those of the loop alone, which `loop` is; bytes
of resident memory for each item; the share of reads that found their value."""
import functools
import itertools
import json
import random
import resource
import sys
import threading
import time

KEY_BYTES, BATCH = 16, 100
MEMORY_FOR_AN_ITEM = 64  # of nuthatch, beside key and value
PREFIX = b"nuthatch"


class Loop:
    """What a loop over ids costs by itself: keys are made, and nothing is done with them."""
    name = "the loop alone"

    def __init__(self, items, value_bytes):
        pass

    def get(self, key):
        return key

    def set(self, key, value):
        pass

    def get_many(self, keys):
        return keys


def nuthatch(items, value_bytes):
    import nuthatch as library  # pylint: disable=import-outside-toplevel
    return library.Cache(max(items * (KEY_BYTES + value_bytes + MEMORY_FOR_AN_ITEM), 16 << 20))


class LockedDict:
    """A dict that does not forget, and the lock that more than one operation wants."""

    def __init__(self, items, value_bytes):
        self.values, self.lock = self.new(items), threading.Lock()

    def new(self, _items):
        return {}

    def get(self, key):
        with self.lock:
            return self.values.get(key)

    def set(self, key, value):
        with self.lock:
            self.values[key] = value

    def get_many(self, keys):
        with self.lock:
            values = self.values
            return {key: values[key] for key in keys if key in values}


class Cachetools(LockedDict):
    """cachetools is not for several threads by itself."""

    def new(self, items):
        import cachetools  # pylint: disable=import-outside-toplevel
        return cachetools.LRUCache(items)


class CachetoolsTtl(LockedDict):
    def new(self, items):
        import cachetools  # pylint: disable=import-outside-toplevel
        return cachetools.TTLCache(items, 3600)


class LruCache:
    """functools.lru_cache: what is missing is computed; nothing can be put, nor asked for at once."""
    set = get_many = None

    def __init__(self, items, value_bytes):
        self.get = functools.lru_cache(maxsize=items)(lambda key: new_value(key[-1], value_bytes))


SUBJECTS = {"loop": Loop, "nuthatch": nuthatch, "dict-lock": LockedDict, "lru_cache": LruCache, "cachetools": Cachetools,
            "cachetools-ttl": CachetoolsTtl}


def new_value(number, value_bytes):
    return bytes((number,)) * value_bytes


def key_of(number):
    return PREFIX + number.to_bytes(8, "big")


def resident_bytes():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def fill(subject, items, value_bytes):
    for number in range(items):
        if subject.set is not None:
            subject.set(key_of(number), new_value(number % 256, value_bytes))
        else:
            subject.get(key_of(number))


def read(subject, parts, _value_bytes):
    get, found = subject.get, 0
    for part in parts:
        if get(PREFIX + part) is not None:
            found += 1
    return found


def put(subject, parts, value_bytes):
    put_one, fill_byte = subject.set, b"v"
    for part in parts:
        put_one(PREFIX + part, fill_byte * value_bytes)
    return 0


def read_many(subject, parts, _value_bytes):
    get_many = subject.get_many
    for at in range(0, len(parts), BATCH):
        get_many([PREFIX + part for part in parts[at:at + BATCH]])
    return 0


def measure(what, subject, parts_of_threads, value_bytes):
    """Nanoseconds of the processor for each operation of all threads, and the share of reads that found a value."""
    found = [0] * len(parts_of_threads)

    def run(place):
        found[place] = what(subject, parts_of_threads[place], value_bytes)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(parts_of_threads))]
    began = time.process_time_ns()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent, count = time.process_time_ns() - began, sum(map(len, parts_of_threads))
    return spent / count, sum(found) / count


def main():
    name, items, value_bytes, operations, thread_count = sys.argv[1], *map(int, sys.argv[2:])
    chance = random.Random(1)
    numbers = list(range(items))
    chance.shuffle(numbers)
    weights = list(itertools.accumulate(1 / (rank + 1) ** 0.99 for rank in range(items)))
    parts = [[number.to_bytes(8, "big") for number in chance.choices(numbers, cum_weights=weights, k=operations)]
             for _ in range(thread_count)]
    del numbers, weights
    before = resident_bytes()
    subject = SUBJECTS[name](items, value_bytes)
    fill(subject, items, value_bytes)
    figures = {"bytes_per_item": (resident_bytes() - before) / items}
    loop = Loop(items, value_bytes)
    for what, method in ((read, "get"), (put, "set"), (read_many, "get_many")):
        if getattr(subject, method) is None:
            continue
        measure(what, subject, [part[:len(part) // 10] for part in parts], value_bytes)  # warms up
        spent, found = measure(what, subject, parts, value_bytes)
        alone, _ = (0, 0) if name == "loop" else measure(what, loop, parts, value_bytes)
        figures[f"{method}_ns"] = spent - alone
        if what is read:
            figures["found"] = found
    print(json.dumps(figures))


main()
