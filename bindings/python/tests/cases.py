"""Reads bindings/conformance/cases.txt, whose form its README.md tells."""
import re

STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\*(\d+))?')
PLAIN = re.compile(r"\S+")
ESCAPE = re.compile(rb'\\(?:x([0-9a-fA-F]{2})|(["\\]))')


def unquoted(text):
    return ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], text.encode())


def quoted(value):
    """A value as outcomes write it."""
    if len(value) > 64 and value.count(value[:1]) == len(value):
        return f"{quoted(value[:1])}*{len(value)}"
    text = "".join('\\"' if byte == 0x22 else "\\\\" if byte == 0x5C else chr(byte) if 0x20 <= byte <= 0x7E
                   else f"\\x{byte:02x}" for byte in value)
    return f'"{text}"'


def words_of(text):
    """Strings as bytes, other words as str."""
    words, at = [], 0
    while at < len(text):
        found = STRING.match(text, at)
        if found:
            words.append(unquoted(found[1]) * int(found[2] or 1))
        else:
            found = PLAIN.match(text, at)
            words.append(found[0])
        at = found.end() + 1
    return words


class Step:
    def __init__(self, line, number):
        step, arrow, outcome = line.rpartition(" -> ")
        if not arrow:
            step, outcome = line, None
        name, _, rest = step.partition(" ")
        self.line, self.number, self.name, self.outcome = line, number, name, outcome
        self.words, self.options = [], {}
        for word in words_of(rest):
            if isinstance(word, str) and "=" in word:
                option, _, value = word.partition("=")
                self.options[option] = value
            else:
                self.words.append(word)


def read(path):
    """The cases: (name, steps)."""
    cases = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if line.startswith("case "):
                cases.append((line[5:], []))
            elif line and not line.startswith("#"):
                cases[-1][1].append(Step(line, number))
    return cases
