"""Which test executes the Python examples of each page.

Every page with Python examples is in one of these tables. ``test_examples.py`` compares them with the pages.
"""

from typing import Any

from tests.docs import stand_ins
from tests.docs.examples import examples

PAGES: dict[str, str] = {
    "../README.md": "Order job prices",
    "checks.md": "Chat Ticker",
    "console.md": "model prices",
    "deployment.md": "",
    "events.md": "",
    "formats.md": "planets",
    "index.md": "",
    "monitoring.md": "",
    "openapi.md": "model",
    "options.md": "Order OrderSerializer OwnsOrder model",
    "settings.md": "",
    "signals.md": "",
    "sources.md": "Order OrderSerializer news weather",
    "typed-events.md": "prices",
    "views.md": "Order OrderSerializer model prices",
}
"""The pages whose examples ``test_examples.py`` executes, and the names of ``stand_ins.py`` that they use."""

TESTED: dict[str, str] = {
    "brokers/index.md": "tests/docs/test_brokers.py",
    "brokers/postgresql.md": "tests/docs/test_brokers.py",
    "browser.md": "tests/docs/test_browser.py",
    "channels.md": "tests/docs/conftest.py",
    "cross-origin.md": "tests/docs/test_cross_origin.py",
    "deployment/kubernetes.md": "tests/docs/test_deployment.py",
    "limits.md": "tests/docs/test_limits.py",
    "live.md": "tests/live/test_live_lists.py",
    "runs.md": "tests/docs/test_runs.py",
    "scaling.md": "tests/docs/test_deployment.py",
    "testing.md": "tests/docs/test_testing.py",
}
"""The pages whose examples another module executes with ``examples()``, which executes all of a page."""

COPIED: dict[str, str] = {
    "coming-from/channels.md": "tests/docs/test_coming_from.py",
    "coming-from/django-eventstream.md": "tests/docs/test_coming_from.py",
    "coming-from/django-flosse.md": "tests/docs/test_coming_from.py",
    "coming-from/fastapi.md": "tests/docs/test_coming_from.py",
    "coming-from/sse-starlette.md": "tests/docs/test_coming_from.py",
    "coming-from/streaming-http-response.md": "tests/docs/test_coming_from.py",
    "how-to/authentication.md": "tests/docs/test_how_to.py",
    "how-to/debugging.md": "tests/docs/test_how_to_server.py",
    "how-to/language-models.md": "tests/docs/test_how_to_chat.py",
    "how-to/live-list.md": "tests/docs/test_live_list.py",
    "how-to/merging-sources.md": "tests/docs/test_how_to.py",
    "how-to/notifications.md": "tests/docs/test_notifications.py",
    "how-to/task-progress.md": "tests/docs/test_how_to.py",
    "how-to/uploads.md": "tests/docs/test_how_to.py",
    "tutorial/channel.md": "tests/docs/test_tutorial.py",
    "tutorial/live-page.md": "tests/docs/test_tutorial.py",
    "tutorial/permissions.md": "tests/docs/test_tutorial.py",
    "tutorial/tests.md": "tests/docs/test_tutorial.py",
}
"""The pages whose examples are the files of a project, and the module that copies them all and executes them."""

COMPARED: dict[str, str] = {
    "protocols.md": "tests/protocols/test_bytes.py",
    "typing.md": "tests/unit/test_typed_project.py",
}
"""The pages whose examples are in a project of this repository, and the module that compares them with it."""


def page_examples(document: str) -> dict[str, Any]:
    """Execute the examples of a page of ``PAGES``, and return the names that they define."""
    return examples(document, **{name: getattr(stand_ins, name) for name in PAGES[document].split()})
