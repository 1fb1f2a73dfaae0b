"""URLs of the example, and of the pages that the browser tests open."""

from pathlib import Path
from urllib.parse import quote

from django.http import HttpResponse
from django.urls import include, path

from protocols.datastar import Patches

PAGES = Path(__file__).with_name("pages")


def page(request, name):
    """Return a page whose stream has the text of the query."""
    html = (PAGES / f"{name}.html").read_text()
    return HttpResponse(html.replace("?text=hello", f"?text={quote(request.GET['text'])}"))


class BetaPatches(Patches):
    """The same patches for the newest version of Datastar on npm, 1.0.0-beta.11, which has other names for them."""

    event = "datastar-merge-fragments"
    target = "selector #words", "mergeMode append"
    argument = "fragments"


urlpatterns = [
    path("pages/<slug:name>/", page),
    path("protocols/datastar-beta", BetaPatches.as_view()),
    path("", include("config.urls")),
]
