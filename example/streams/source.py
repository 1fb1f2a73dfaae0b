"""The page that shows the source of a card: its view, and the JavaScript that reads its stream."""

from dataclasses import dataclass
from importlib import import_module
from inspect import getsourcelines
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import find
from django.http import Http404
from django.urls import resolve
from django.views.generic import TemplateView

from streams.cards import CARDS


@dataclass(frozen=True)
class Line:
    """A line of a file."""

    number: int
    text: str
    marked: bool
    """Whether the line belongs to the card's view."""


@dataclass(frozen=True)
class File:
    """A file of the repository."""

    path: Path
    marked: range = range(0)
    """Numbers of the lines that belong to the card's view."""

    @property
    def name(self):
        """The path, as the repository names it."""
        return self.path.relative_to(settings.BASE_DIR.parent).as_posix()

    @property
    def id(self):
        """The ID of the file's part of the page."""
        return self.path.name

    @property
    def lines(self):
        text = self.path.read_text(encoding="utf-8")
        return [Line(number, line, number in self.marked) for number, line in enumerate(text.splitlines(), 1)]


class SourcePage(TemplateView):
    """Show the file that contains a card's view, and the other modules and scripts that the card names."""

    template_name = "streams/source.html"

    def get_context_data(self, slug, **kwargs):
        card = next((card for card in CARDS if card.slug == slug), None)
        if card is None:
            raise Http404(f"No card has the name {slug!r}.")
        files = [file_of(card), *map(file_of_module, card.modules), *map(file_of_script, card.scripts)]
        return super().get_context_data(title=f"Source of {card.title}", card=card, files=files, **kwargs)


def file_of(card):
    """Return the file that contains the view of a card, with the view marked."""
    function = resolve(card.url).func
    # as_view() sets view_class, and cls for a viewset.
    view = getattr(function, "view_class", None) or getattr(function, "cls", function)
    code, first = getsourcelines(view)
    return File(file_of_module(view.__module__).path, range(first, first + len(code)))


def file_of_module(name):
    return File(Path(import_module(name).__file__))


def file_of_script(name):
    return File(Path(find(name)))
