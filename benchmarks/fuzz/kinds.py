"""Kinds of cases, how they are run, and how a failing case is made smaller."""

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

ATTEMPTS = 300
"""Smaller forms of a failing case that are tried."""

LONGEST = 2000
"""Characters of a case that are printed."""


class Wrong(AssertionError):
    """The package did something other than expected; the message says what."""


def expect(condition: object, message: str, *values: object) -> None:
    """Raise ``Wrong`` unless the condition holds."""
    if not condition:
        raise Wrong(" ".join([message, *map(shown, values)]))


def shown(value: object) -> str:
    """Return what Python prints for a value, also if it contains a number that is usually too long to print."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return repr(value)
    finally:
        sys.set_int_max_str_digits(limit)


@dataclass(frozen=True, slots=True)
class Kind:
    """Describe one kind of cases."""

    name: str
    share: float
    """The part of all cases that are of this kind."""
    make: Callable[[Random], Any]
    """Returns a random case."""
    check: Callable[[Any], None]
    """Raises an exception if the package does not treat the case as it should."""


@dataclass(slots=True)
class Failure:
    """Hold a failing case."""

    number: int
    case: Any
    error: Exception
    times: int = 1

    @property
    def place(self) -> tuple[str, int | None]:
        """The type of the error, and the line that raised it. Failures at the same place are reported once."""
        frames = traceback.extract_tb(self.error.__traceback__)
        return type(self.error).__name__, frames[-1].lineno if frames else None


@dataclass(slots=True)
class Outcome:
    """Hold what came of the cases of one kind."""

    kind: str
    cases: int = 0
    seconds: float = 0.0
    failures: dict[Any, Failure] = field(default_factory=dict)

    def add(self, failure: Failure) -> None:
        """Add a failure, or count it if another case failed at the same place."""
        first = self.failures.setdefault(failure.place, failure)
        if first is not failure:
            first.times += 1


def random_of(seed: str, kind: str, number: int) -> Random:
    """Return the source of randomness of one case, which depends on nothing else."""
    return Random(f"{seed}/{kind}/{number}")


def run(kind: Kind, seed: str, numbers: range) -> Outcome:
    """Run the cases of these numbers."""
    outcome, began = Outcome(kind.name), time.perf_counter()
    for number in numbers:
        case = kind.make(random_of(seed, kind.name, number))
        error = error_of(kind.check, case)
        if error is not None:
            outcome.add(Failure(number, case, error))
        outcome.cases += 1
    for failure in outcome.failures.values():
        shrink(kind, failure)
    outcome.seconds = time.perf_counter() - began
    return outcome


def error_of(check: Callable[[Any], None], case: Any) -> Exception | None:
    """Return the exception that the check of a case raises."""
    try:
        check(case)
    except Exception as exc:
        return exc
    return None


def shrink(kind: Kind, failure: Failure, seconds: float = 5) -> None:
    """Replace the case of a failure with the smallest one found that fails in the same way."""
    left, place, deadline = ATTEMPTS, failure.place, time.monotonic() + seconds
    candidates = smaller(failure.case)
    while left and time.monotonic() < deadline and (case := next(candidates, None)) is not None:
        left -= 1
        error = error_of(kind.check, case)
        if error is not None and Failure(0, case, error).place == place:
            failure.case, failure.error = case, error
            candidates = smaller(case)


def smaller(case: Any) -> Iterator[Any]:
    """Yield cases of the same shape with less in them: the smallest first."""
    if isinstance(case, str | bytes | list):
        step = len(case)
        while step := step // 2 if step > 1 else 0:
            yield from (case[:start] + case[start + step :] for start in range(0, len(case), step))
    if isinstance(case, tuple | list):
        for index, part in enumerate(case):
            yield from (type(case)([*case[:index], less, *case[index + 1 :]]) for less in smaller(part))
    if isinstance(case, dict):
        yield from ({name: value for name, value in case.items() if name != left_out} for left_out in case)
        for name, value in case.items():
            yield from ({**case, name: less} for less in smaller(value))


def report(failure: Failure, kind: str, seed: str) -> str:
    """Return the text that describes a failure and how to repeat it."""
    case = shown(failure.case)
    error = "".join(traceback.format_exception(failure.error)).replace(str(Path.cwd()), ".")
    return (
        f"FAILED: {kind}, case {failure.number}, and {failure.times - 1} like it\n"
        f"Repeat it: python -m benchmarks.fuzz --only {kind} --seed {seed} --case {failure.number}\n"
        f"The smallest form found: {case[:LONGEST]}{'…' if len(case) > LONGEST else ''}\n{error}"
    )
