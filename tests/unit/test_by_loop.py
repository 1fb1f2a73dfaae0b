"""Objects of which each event loop has its own."""

import asyncio

from adrf_sse.runtime.by_loop import ByLoop


async def test_a_loop_has_one_object_for_each_key_until_it_is_removed():
    objects = ByLoop()
    first = objects.get("a", object)
    assert objects.get("a", object) is first
    assert objects.get("b", object) is not first
    objects.remove("a", first)
    second = objects.get("a", object)
    assert second is not first
    objects.remove("a", first)  # another object has its key by now
    assert objects.get("a", object) is second


def test_each_loop_has_its_own_objects_and_those_of_closed_loops_are_forgotten():
    objects = ByLoop()

    async def get():
        return objects.get("a", object), objects.all()

    first, alone = asyncio.run(get())
    assert alone == [first]
    assert objects.all() == []
    second, alone = asyncio.run(get())
    assert second is not first
    assert alone == [second]
