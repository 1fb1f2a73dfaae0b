"""The page that shows the Python source of a card's view."""

from dataclasses import dataclass
from importlib import import_module
from inspect import getsourcelines
from pathlib import Path

from django.conf import settings
from django.http import Http404
from django.urls import resolve
from django.views.generic import TemplateView

from streams.pages import CARDS


@dataclass(frozen=True)
class Line:
    """A line of a file."""

    number: int
    text: str
    marked: bool
    """Whether the line belongs to the card's view."""


class SourcePage(TemplateView):
    """Show the file that contains a card's view, and the other modules that the card names."""

    template_name = "streams/source.html"

    def get_context_data(self, slug, **kwargs):
        card = next((card for card in CARDS if card.slug == slug), None)
        if card is None:
            raise Http404(f"No card has the name {slug!r}.")
        view = view_of(card)
        files = [(name_of(view.__module__), lines_of(view.__module__, view))]
        files += [(name_of(module), lines_of(module)) for module in card.modules]
        return super().get_context_data(title=f"Source of {card.title}", files=files, **kwargs)


def view_of(card):
    """Return the class or the function that serves the card's URL."""
    function = resolve(card.url).func
    # as_view() sets view_class, and cls for a viewset.
    return getattr(function, "view_class", None) or getattr(function, "cls", function)


def lines_of(module, view=None):
    """Return the lines of a module. The lines of ``view`` are marked."""
    marked = range(0)
    if view is not None:
        code, first = getsourcelines(view)
        marked = range(first, first + len(code))
    text = path_of(module).read_text(encoding="utf-8")
    return [Line(number, line, number in marked) for number, line in enumerate(text.splitlines(), 1)]


def name_of(module):
    """Return the path of a module, as the repository names it."""
    return path_of(module).relative_to(settings.BASE_DIR.parent).as_posix()


def path_of(module):
    return Path(import_module(module).__file__)
