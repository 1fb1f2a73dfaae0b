"""Objects of which each event loop has its own."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from adrf_sse.runtime.loops import after_fork

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByLoop(Generic[K, V]):
    """Objects by key and event loop, until they are removed or their loop is closed. A forked child has none."""

    def __init__(self) -> None:
        self._by_loop: dict[asyncio.AbstractEventLoop, dict[K, V]] = {}
        after_fork(self._by_loop.clear)

    def get(self, key: K, create: Callable[[], V]) -> V:
        """Return the object of the running loop. ``create`` is called if there is none."""
        for loop in [loop for loop in self._by_loop if loop.is_closed()]:
            del self._by_loop[loop]  # nothing can remove its objects any more
        objects = self._by_loop.setdefault(asyncio.get_running_loop(), {})
        if key not in objects:
            objects[key] = create()
        return objects[key]

    def remove(self, key: K, value: V) -> None:
        """Remove an object of the running loop, unless another one has its key by now."""
        loop = asyncio.get_running_loop()
        objects = self._by_loop.get(loop, {})
        if objects.get(key) is value:
            del objects[key]
            if not objects:
                del self._by_loop[loop]

    def all(self) -> list[V]:
        """Return the objects of all loops that are not closed."""
        loops = list(self._by_loop.items())
        return [value for loop, objects in loops if not loop.is_closed() for value in list(objects.values())]
