"""Random values: text, JSON, and what nobody should pass."""

import sys
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

AWKWARD = "\r\n\0: \t\ufeff\u2028\u2029\x85\x0b\x1cé€😀{}[],\"'\\/%0123456789adeinrtv-_.~*"
"""Characters that mean something to a parser, and some that do not."""

WORDS = [
    "data",
    "event",
    "id",
    "retry",
    "data: ",
    "event: ",
    "id: ",
    "retry: ",
    ":",
    "\n",
    "\r\n",
    "\n\n",
    "\r",
    "0",
    "7",
]


def length(random: Random, most: int = 40) -> int:
    """Return a length: mostly short."""
    return min(int(random.expovariate(1 / 6)), most)


def text(random: Random, most: int = 40) -> str:
    """Return text that UTF-8 can encode."""
    if random.random() < 0.4:
        return "".join(random.choices(WORDS, k=length(random, most)))
    return "".join(random.choices(AWKWARD, k=length(random, most)))


def any_text(random: Random) -> str:
    """Return text that may contain a lone surrogate, or any other character."""
    characters = [chr(random.randrange(sys.maxunicode + 1)) for _ in range(random.randrange(3))]
    return text(random) + "".join(characters) if random.random() < 0.3 else text(random)


def some_bytes(random: Random, most: int = 60) -> bytes:
    """Return bytes: mostly text, with something damaged in it."""
    data = text(random, most).encode()
    if random.random() < 0.2:
        data = data[: random.randrange(len(data) + 1)] + random.randbytes(random.randrange(4)) + data
    return data


def number(random: Random) -> float:
    """Return a number that JSON can hold."""
    exponents = random.choice([1, 20, 63, 64, 200])
    if random.random() < 0.5:
        return random.randint(-(2**exponents), 2**exponents)
    return random.uniform(-1, 1) * 10.0 ** random.randint(-300, 300)


def json_value(random: Random, depth: int = 3) -> Any:
    """Return a value that JSON can hold."""
    kind = random.randrange(8 if depth else 5)
    if kind < 2:
        return text(random)
    if kind < 4:
        return number(random)
    if kind == 4:
        return random.choice([None, True, False])
    if kind == 5:
        return {text(random, 8): json_value(random, depth - 1) for _ in range(random.randrange(4))}
    return [json_value(random, depth - 1) for _ in range(random.randrange(4))]


def surprise(random: Random) -> Any:
    """Return a value of any type, as a mistaken project may pass it."""
    makers = [
        lambda: random.choice([None, True, False, 0, 1, -1, 0.0, -0.0, 1.5, float("nan"), float("inf"), float("-inf")]),
        lambda: random.randint(-10, 10_000),
        lambda: number(random),
        lambda: random.choice([10, -10]) ** random.choice([30, 308, 309, 400, 5000]),
        lambda: any_text(random),
        lambda: some_bytes(random),
        lambda: random.choice([timedelta(0), timedelta.max, timedelta.min, timedelta(seconds=random.uniform(-9, 9))]),
        lambda: random.choice([Decimal("NaN"), Decimal("1e400"), 1j, object, object(), len, ..., {1}, range(3)]),
        lambda: [surprise(random) for _ in range(random.randrange(4))],
        lambda: tuple(surprise(random) for _ in range(random.randrange(4))),
        lambda: {text(random, 8): surprise(random) for _ in range(random.randrange(3))},
    ]
    return random.choice(makers)()
