"""The pages. Their JavaScript reads the streams."""

from django.urls import reverse
from django.views.generic import TemplateView

from streams.cards import CARDS, find_card
from streams.jobs import find_job


class Index(TemplateView):
    template_name = "streams/index.html"

    def get_context_data(self, **kwargs):
        cards = [(card, card.command(self.request, card.url)) for card in CARDS]
        return super().get_context_data(cards=cards, **kwargs)


class Page(TemplateView):
    """A page for the stream of a card. ``stream`` is the name of the stream's URL."""

    stream = ""

    def get_context_data(self, **kwargs):
        card = find_card(self.stream)
        context = {"card": card, "title": card.title, "stream_url": card.url} | kwargs
        command = card.command(self.request, context["stream_url"])
        return super().get_context_data(command=command, **context)


class ProgressPage(Page):
    """A page for one job. The page's URL contains the ID of the job, so a reload shows it again."""

    template_name = "streams/progress.html"
    stream = "progress-jobs"

    def get_context_data(self, **kwargs):
        id = self.request.GET.get("job")
        known = id is not None and find_job(id) is not None
        return super().get_context_data(
            events_url=reverse("progress-events", args=[id]) if known else None,
            unknown=id is not None and not known,
            **kwargs,
        )
