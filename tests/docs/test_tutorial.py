"""The tutorial and the first example of the README, followed as a reader follows them."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.docs.examples import ROOT, blocks_of, code_blocks
from tests.docs.reader import Reader
from tests.docs.tutorial import followed, logged_in, see
from tests.support.browsers import chromium

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.browser, pytest.mark.timeout(300)]


SEPARATORS = """
```python
# mysite/settings.py, at the end
USE_THOUSAND_SEPARATOR = True
```

```console
$ python manage.py shell -c "from orders.models import Order; Order(1234, 3, 'Cake').save()"
```

```text title="http://127.0.0.1:8000/orders/1234/"
Order 1,234: Cake
received
Connected
```

```text title="The admin"
The order “Cake for alice” was changed successfully.
```

```text title="http://127.0.0.1:8000/orders/1234/"
Order 1,234: Cake
received
in the oven
Connected
```
"""
"""A step that no page has: the project's templates write numbers as 1,234."""


ISOLATION = """
```python
# orders/test_isolation.py
from adrf_sse.testing import EventStreamClient
from orders import tests


class Twice(tests.OrderStatusTest):
    def check(self):
        with EventStreamClient().get(f"{self.url}?last_event_id=0", user=self.alice) as stream:
            self.assertEqual([event.event for event in stream.take(2)], ["reset", "ready"])
        self.change_status("in the oven")

    test_one = test_two = check

    def test_an_order_that_does_not_exist_is_a_403(self):
        with EventStreamClient().get("/orders/999/status/", user=self.alice) as stream:
            self.assertEqual(stream.status_code, 403)
```

```console
$ python manage.py test orders.test_isolation
…
OK
…
```
"""
"""Tests that no page has. Two expect an empty history and publish an event. One does what the page Permissions says."""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        stack.callback(reader.stop)
        yield reader


async def see_console(page: Page, url: str) -> None:
    await page.goto(url)
    await page.get_by_role("button", name="Connect", exact=True).click()
    await expect(page.get_by_text('"received"')).to_be_visible()


async def see_the_last(page: Page, text: str) -> None:
    """Compare what a page shows when its stream is over, after which nothing can change it."""
    await page.wait_for_function("source.readyState === EventSource.CLOSED")
    await see(page, text)


async def follow_the_live_page(reader: Reader, browser: Browser) -> None:
    pages = 0
    for title, text in reader.follow(code_blocks("tutorial/live-page.md")):
        if title.startswith("http"):
            async with logged_in(browser, reader.outputs.real(title)) as page:
                await see_the_last(page, text)
                await see_console(page, f"{reader.url}/orders/1/status/")
            pages += 1
    assert pages == 2


async def follow_the_permissions(reader: Reader, browser: Browser) -> None:
    pages = 0
    for title, text in reader.follow(code_blocks("tutorial/permissions.md")):
        if title.startswith("http"):
            async with logged_in(browser, reader.outputs.real(title), "alice") as page:
                await see(page, text)
            pages += 1
    assert pages == 1


async def test_the_tutorial_shows_what_really_happens(reader: Reader) -> None:
    async with chromium() as browser:
        await follow_the_live_page(reader, browser)
        await follow_the_permissions(reader, browser)
        page = code_blocks("tutorial/channel.md")
        saves = [("1", ["in the oven"]), ("1", ["on its way", "delivered"]), ("2", ["in the oven"])]
        async with followed(reader, browser, page, *saves):
            pass
        async with followed(reader, browser, blocks_of(SEPARATORS), ("1234", ["in the oven"])):
            pass
    assert list(reader.follow(code_blocks("tutorial/tests.md"))) == []
    assert list(reader.follow(blocks_of(ISOLATION))) == []


def test_the_first_example_of_the_readme_works_in_an_empty_project(reader: Reader) -> None:
    text = (ROOT / "README.md").read_text()
    end = text[: text.index("## Why")].count("\n")
    preparation, *steps = (block for block in code_blocks("../README.md") if block.line < end)
    assert list(reader.follow([preparation])) == []
    apps = re.findall(r'`"(\w+)"`', text[: text.index("to `INSTALLED_APPS`")])
    settings = reader.folder / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + f"\nINSTALLED_APPS += {apps}\n")
    assert list(reader.follow(steps)) == []
    assert len(steps) == 4
