"""The how-to page of notifications, followed in the project of the tutorial."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.docs.examples import blocks_of, code_blocks
from tests.docs.reader import Reader
from tests.docs.tutorial import finish_tutorial, followed
from tests.support.browsers import chromium

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.browser, pytest.mark.timeout(300)]

CHECKS = """
```python
# orders/test_notifications.py
import json

from django.contrib.auth.models import User
from django.db import transaction
from django.test import TransactionTestCase

from adrf_sse.channels import announce
from adrf_sse.testing import EventStreamClient
from orders.models import Notification, Order


class NotificationTest(TransactionTestCase):
    def setUp(self):
        self.alice, self.bob = (User.objects.create_user(name) for name in ("alice", "bob"))

    def watch(self, user=None):
        return EventStreamClient().get("/api/notifications/live/", user=user)

    def test_a_changed_order_notifies_its_customer_only(self):
        orders = [Order.objects.create(customer=user, item="Jug") for user in (self.bob, self.alice)]
        with self.watch(self.alice) as stream:
            self.assertEqual(stream.next().data, "[]")
            for order in orders:
                order.status = "delivered"
                order.save()
            created = stream.next()
        self.assertEqual((created.event, json.loads(created.data)["text"]), ("created", "Jug: delivered"))

    def test_a_rollback_notifies_nobody(self):
        order = Order.objects.create(customer=self.alice, item="Jug")
        with transaction.atomic():
            order.save()
            transaction.set_rollback(True)
        with self.watch(self.alice) as stream:
            self.assertEqual(stream.next().data, "[]")

    def test_many_users_are_notified_at_once(self):
        with self.watch(self.alice) as stream:
            stream.next()
            with transaction.atomic():
                users = [self.alice, self.bob]
                announce(Notification.objects.bulk_create([Notification(user=user, text="New") for user in users]))
            self.assertEqual(json.loads(stream.next().data)["text"], "New")

    def test_users_mark_only_their_own_notifications_as_read(self):
        mine, other = (Notification.objects.create(user=user, text="New") for user in (self.alice, self.bob))
        self.client.force_login(self.alice)
        for pk, status in (other.pk, 404), (mine.pk, 200):
            response = self.client.patch(f"/api/notifications/{pk}/", {"read": True}, "application/json")
            self.assertEqual(response.status_code, status)
        self.assertEqual(list(Notification.objects.filter(read=False)), [other])
        self.assertEqual(self.client.post("/api/notifications/read/").status_code, 204)
        self.assertEqual(list(Notification.objects.filter(read=False)), [other])

    def test_a_login_is_required(self):
        with self.watch() as stream:
            self.assertEqual(stream.status_code, 403)
```

```console
$ python manage.py test orders.test_notifications
…
Ran 5 tests in 0.123s
…
OK
…
```
"""
"""Tests that the page does not have."""


async def shows(page: Page, *texts: str) -> None:
    await expect(page.locator("#unread")).to_have_text(str(len(texts)))
    await expect(page.locator("#texts li")).to_have_text([f"{text} Mark as read" for text in texts])


async def test_a_notification_appears_and_disappears_on_all_pages(tmp_path: Path) -> None:
    with ExitStack() as stack:
        reader = Reader(tmp_path, stack)
        stack.callback(reader.stop)
        finish_tutorial(reader)
        blocks = code_blocks("how-to/notifications.md")
        async with chromium() as browser, followed(reader, browser, blocks, ("1", ["on its way"])) as pages:
            admin, page = pages["The admin"], pages["http://127.0.0.1:8000/"]
            other = await page.context.new_page()
            await other.goto(reader.url)
            for tab in page, other:
                await tab.get_by_text("Notifications:").click()
                await shows(tab, "Pizza: on its way")
            await page.get_by_role("button", name="Mark as read").click()
            for tab in page, other:
                await shows(tab)
            for pk in "1", "2":
                await admin.goto(f"{reader.url}/admin/orders/order/{pk}/change/")
                await admin.get_by_label("Status").select_option("delivered")
                await admin.get_by_role("button", name="Save", exact=True).click()
                await expect(admin.locator(".messagelist")).to_be_visible()
            for tab in page, other:
                await shows(tab, "Pizza: delivered", "Tiramisu: delivered")
            await other.get_by_role("button", name="Mark all as read").click()
            for tab in page, other:
                await shows(tab)
            await page.context.route("**/live/", lambda route: route.fulfill(status=403))
            await other.close()
            await page.reload()
            await expect(page.locator("#unread")).to_have_text("log in again")
        assert list(reader.follow(blocks_of(CHECKS))) == []
