"""Changes that damage valid inputs, or falsify what they claim.

Everything is a function of a random generator, so an index and a seed reproduce an input exactly.
"""

import gzip
import io
import json
import pickle
import random
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

# The files of one input, by their paths in a folder.
Files = Mapping[str, bytes]
Change = Callable[[random.Random, bytes], bytes]

_SIZES = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    256,
    0x7FFF,
    0xFFFF,
    10**7,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**64 - 1,
)
_NUMBERS = (
    *("0", "-1", "1", "2", "010", "1e400", "-1e-400", "nan", "Infinity", "3e38", "1e10", "99999999999999999999"),
    *(
        "9" * 400,
        "9" * 5000,
        "1_0",
        "0x10",
        ".",
        "-",
        "1.2.3",
        "2147483648",
        "18446744073709551616",
        "(10000000, 0, 150)",
    ),
)
_TEXTS = (
    *(
        '""',
        "null",
        "true",
        "[]",
        "{}",
        "[[]]",
        '"\\ud800"',
        "'\\u0000'",
        '"\\u001b[2J"',
        "!!python/object:os.system x",
    ),
    *(
        "&a [*a]",
        "*a",
        "${oc.env:HOME}",
        "[" * 200,
        "{" * 200,
        "- " * 300,
        "? ",
        "---\n",
        "\t",
        "%YAML 9.9\n",
        "<<: *a",
    ),
)
_KINDS = (
    "'<f8'",
    "'|O'",
    "'<U99999'",
    "'|V8'",
    "'>i2'",
    "'<M8[s]'",
    "[('a', '<f4')]",
    "('<f4', (9999999,))",
    "'f4,f4'",
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def flip(choice: random.Random, data: bytes) -> bytes:
    """Flip a few bits."""
    changed = bytearray(data)
    for _ in range(choice.choice((1, 1, 1, 2, 8))):
        if changed:
            changed[choice.randrange(len(changed))] ^= 1 << choice.randrange(8)
    return bytes(changed)


def overwrite(choice: random.Random, data: bytes) -> bytes:
    """Write random bytes over a few, mostly at the beginning or the end, where headers are."""
    if not data:
        return choice.randbytes(4)
    changed, reach = bytearray(data), min(len(data), choice.choice((16, 128, len(data))))
    position = choice.randrange(reach) if choice.random() < 0.7 else len(data) - 1 - choice.randrange(reach)
    length = choice.choice((1, 2, 4, 16))
    changed[position : position + length] = choice.choice((b"\0", b"\xff", choice.randbytes(1))) * length
    return bytes(changed)


def truncate(choice: random.Random, data: bytes) -> bytes:
    """Cut off the end or the beginning."""
    position = choice.randrange(len(data) + 1)
    return data[:position] if choice.random() < 0.8 else data[position:]


def splice(choice: random.Random, data: bytes) -> bytes:
    """Repeat, move or drop a piece."""
    if not data:
        return data
    begin = choice.randrange(len(data))
    piece = data[begin : begin + choice.choice((1, 4, 30, 300, 5000))]
    position = choice.randrange(len(data) + 1)
    way = choice.randrange(3)
    if way == 0:
        return data[:position] + piece * choice.choice((1, 2, 50)) + data[position:]
    rest = data[:begin] + data[begin + len(piece) :]
    return rest if way == 1 else rest[:position] + piece + rest[position:]


def claim(choice: random.Random, data: bytes) -> bytes:
    """Write a size of some width over what stands at some position."""
    kind = choice.choice("BHIQ")
    width = struct.calcsize(kind)
    if len(data) < width:
        return data
    reach = min(len(data) - width + 1, choice.choice((64, 512, len(data))))
    position = choice.randrange(reach)
    if choice.random() < 0.4:
        position = len(data) - width - position
    value = choice.choice(_SIZES) & ((1 << 8 * width) - 1)
    return data[:position] + struct.pack(f"{choice.choice('<>')}{kind}", value) + data[position + width :]


def number(choice: random.Random, data: bytes) -> bytes:
    """Replace one number of a text."""
    found = list(_NUMBER.finditer(data[:100_000]))
    if not found:
        return data
    match = choice.choice(found)
    return data[: match.start()] + choice.choice(_NUMBERS).encode() + data[match.end() :]


def text(choice: random.Random, data: bytes) -> bytes:
    """Put something that a grammar gives a meaning to somewhere, or in place of a value."""
    lines = data.split(b"\n")
    position = choice.randrange(len(lines))
    name, colon, value = lines[position].partition(b":")
    odd = choice.choice(_TEXTS).encode()
    if colon and choice.random() < 0.8:
        lines[position] = name + b": " + odd + (value if choice.random() < 0.2 else b"")
    else:
        lines.insert(position, odd)
    return b"\n".join(lines)


def lines(choice: random.Random, data: bytes) -> bytes:
    """Drop, repeat or exchange lines."""
    all_lines = data.split(b"\n")
    position, other = choice.randrange(len(all_lines)), choice.randrange(len(all_lines))
    way = choice.randrange(3)
    if way == 0:
        del all_lines[position]
    elif way == 1:
        all_lines[position:position] = [all_lines[other]] * choice.choice((1, 3, 500))
    else:
        all_lines[position], all_lines[other] = all_lines[other], all_lines[position]
    return b"\n".join(all_lines)


def array_header(choice: random.Random, data: bytes) -> bytes:
    """Give an array another type, shape or order than it has, with the header as long as before."""
    entries = [
        (rb"'descr': [^,]*(?:\[[^\]]*\])?,", f"'descr': {choice.choice(_KINDS)},"),
        (
            rb"'shape': \([^)]*\)",
            f"'shape': ({', '.join(str(choice.choice(_SIZES)) for _ in range(choice.randrange(5)))},)",
        ),
        (rb"'fortran_order': \w+", "'fortran_order': True"),
    ]
    pattern, value = choice.choice(entries)
    changed = re.sub(pattern, value.encode().replace(b"\\", b"\\\\"), data[:400], count=1)
    if b"NUMPY" not in data[:8] or b"\n" not in changed:
        return data
    head, _, rest = changed.partition(b"\n")
    wanted = data[:400].index(b"\n") if b"\n" in data[:400] else len(head)
    return head.rstrip()[:wanted].ljust(wanted) + b"\n" + rest + data[400:]


def json_value(choice: random.Random, data: bytes) -> bytes:
    """Replace one value of a JSON text by one of another kind or size."""
    try:
        values = json.loads(data)
    except ValueError:
        return flip(choice, data)
    return json.dumps(replaced(choice, values)).encode()


def replaced(choice: random.Random, values: Any) -> Any:
    """Return plain values with one of them replaced, dropped or renamed."""
    if choice.random() < 0.25 or not isinstance(values, dict | list) or not values:
        return odd_value(choice)
    if isinstance(values, dict):
        key = choice.choice(list(values))
        rest = dict(values)
        old = rest.pop(key)
        way = choice.random()
        if way < 0.1:
            return rest
        return {**rest, (odd_text(choice) if way < 0.2 else key): replaced(choice, old)}
    position = choice.randrange(len(values))
    return [*values[:position], replaced(choice, values[position]), *values[position + 1 :]]


def odd_value(choice: random.Random) -> Any:
    """Return an unexpected value."""
    odd: tuple[Any, ...] = (
        None,
        True,
        -1,
        0,
        2**31,
        2**40,
        10**30,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        [],
        {},
        [[]],
        {"a": [1]},
    )
    return odd_text(choice) if choice.random() < 0.2 else choice.choice(odd)


def odd_text(choice: random.Random) -> str:
    """Return a text that files and terminals do not like."""
    return choice.choice(("\x1b[2J", "\ud800", "\0", "..", "/", "a" * 10_000, "\u202e", "é", "é", "010", "no", "~"))


def gzipped(change: Change) -> Change:
    """Return a change of what a `.gz` file holds; it is packed again, so its checksum is right."""

    def repacked(choice: random.Random, data: bytes) -> bytes:
        try:
            return gzip.compress(change(choice, gzip.decompress(data)), 1, mtime=0)
        except Exception:  # it was damaged before: what the standard library raises for that is a long list
            return change(choice, data)

    return repacked


def zipped(change: Change) -> Change:
    """Return a change of one member of a zip; it is packed again, so its checksums are right."""

    def repacked(choice: random.Random, data: bytes) -> bytes:
        try:
            with ZipFile(io.BytesIO(data)) as archive:
                members = [(info.filename, info.compress_type, archive.read(info)) for info in archive.infolist()]
        except Exception:  # as above
            return change(choice, data)
        if not members:
            return data
        chosen = choice.randrange(len(members))
        changed = []
        for position, (name, method, content) in enumerate(members):
            new = change(choice, content) if position == chosen else content
            if choice.random() < 0.05:
                method = ZIP_DEFLATED if method == ZIP_STORED else ZIP_STORED
            changed.append((name, method, new))
        return zip_of(changed)

    return repacked


def zip_of(members: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Return a zip of members, each with its name, method and content, that does not depend on the time of day."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, method, content in members:
            archive.writestr(ZipInfo(name), content, method)
    return buffer.getvalue()


def operations(choice: random.Random, data: bytes) -> bytes:
    """Put random operations of pickle, with sizes that they claim, somewhere into one, or make one of nothing else."""
    codes = [
        value for name, value in vars(pickle).items() if re.fullmatch(r"[A-Z][A-Z0-9_]+", name) and _is_code(value)
    ]
    made = b"".join(choice.choice(codes) + _argument(choice) for _ in range(choice.randrange(1, 40)))
    if choice.random() < 0.5:
        return b"\x80\x04" + made + b"."
    position = choice.randrange(len(data) + 1)
    return data[:position] + made[: choice.choice((4, 40))] + data[position:]


def doubling(choice: random.Random, _: bytes) -> bytes:
    """Make a pickle that doubles a container a few dozen times, and uses it as an item, a key or a member."""
    first, pair = choice.choice(((b")", b"2\x86"), (b"]", b"2\x86"), (b"]", b"0h\0h\0\x86"), (b"}", b"2\x86")))
    use = choice.choice((b"s.", b"\x90.", b"\x91.", b"a.", b"\x85.", b".", b"K\1s.", b"d."))
    keep = b"q\0" if choice.random() < 0.5 else b"\x94"
    return b"\x80\x04" + choice.choice((b"", b"}", b"\x8f(", b"](", b"(")) + first + keep + (pair + keep) * 40 + use


def _is_code(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 1


def _argument(choice: random.Random) -> bytes:
    way = choice.randrange(6)
    if way == 0:
        return struct.pack(choice.choice(("<B", "<I", "<Q")), 0) if choice.random() < 0.3 else b""
    if way == 1:
        kind = choice.choice("BHIQ")
        return struct.pack(f"<{kind}", choice.choice(_SIZES) & ((1 << 8 * struct.calcsize(kind)) - 1))
    if way == 2:
        return choice.choice(_NUMBERS).encode() + b"\n"
    if way == 3:
        return choice.choice(
            (b"numpy\nndarray\n", b"numpy\ndtype\n", b"c\nd\n", b"numpy.core.multiarray\n_reconstruct\n")
        )
    return b""


BYTES: Sequence[Change] = (flip, flip, overwrite, truncate, splice, claim)
TEXT: Sequence[Change] = (flip, truncate, splice, number, number, text, lines)
JSON: Sequence[Change] = (json_value, json_value, json_value, flip, truncate, splice, number)
ARRAY: Sequence[Change] = (array_header, array_header, *BYTES)
PICKLE: Sequence[Change] = (operations, doubling, *BYTES)
