"""Parameters of which some make a test slow."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_except(quick: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """Return ``values``, each one parameter or a tuple of several, and mark those as slow that are not in ``quick``."""
    quick = list(quick)
    return [_parameter(value, is_slow=value not in quick) for value in values]


def _parameter(value: Any, *, is_slow: bool) -> Any:
    return pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.slow if is_slow else ())
