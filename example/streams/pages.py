"""The pages. Their JavaScript reads the streams."""

from dataclasses import dataclass

from django.urls import reverse
from django.views.generic import TemplateView

from streams.jobs import find_job


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card of the index page, for one stream."""

    title: str
    proves: str
    stream: str
    """Name of the stream's URL."""
    args: tuple[str, ...] = ()
    """Arguments of this URL."""
    page: str = ""
    """Name of the URL of the stream's own page."""
    events: str = "message"
    """Names of the stream's events, separated by spaces."""
    curl: str = "curl -N {url}"
    starts: bool = False
    """Whether the page starts the stream when it loads."""
    once: bool = False
    """Whether the page closes the stream when the server ends it. Otherwise, the browser reconnects."""
    console: bool = True
    """Whether the stream's URL shows a console in a browser."""
    modules: tuple[str, ...] = ()
    """Modules that the source page shows after the module of the view."""
    body: str = ""
    """JSON of the POST request that opens the stream."""
    job: bool = False
    """Whether ``stream`` is a URL for POST requests whose response contains the stream's URL."""

    @property
    def url(self):
        return reverse(self.stream, args=self.args)

    @property
    def slug(self):
        return self.stream.replace("-events", "")


CARDS = [
    Card(
        title="Stock adrf view",
        proves="An unmodified adrf view streams with the right renderer. Each message arrives when it is yielded.",
        stream="test",
        starts=True,
        once=True,
    ),
    Card(
        title="Plain Django view",
        proves="The same events from a plain asynchronous Django view that returns an EventStreamResponse.",
        stream="test2",
        console=False,
        starts=True,
        once=True,
    ),
    Card(
        title="News and weather",
        proves="Two producers in a task group write to one stream. When you stop it, both are cancelled.",
        stream="news-and-weather-events",
        page="news-and-weather",
        events="news weather",
        starts=True,
    ),
    Card(
        title="Countdown",
        proves="A finite stream is read only once: the browser reconnects, gets a 204 response, and stops.",
        stream="countdown-events",
        page="countdown",
        events="tick blastoff",
    ),
    Card(
        title="Sync countdown",
        proves="A generator that blocks can stream, too. It runs in its own thread, never in the event loop.",
        stream="countdown-sync-events",
        page="countdown-sync",
        events="tick blastoff",
    ),
    Card(
        title="Progress",
        proves="A POST request starts a job that reports its progress. A late client gets the current state first.",
        stream="progress-jobs",
        page="progress",
        events="progress done",
        curl="curl -sX POST {url} | grep -o 'http[^\"]*' | xargs curl -N",
        modules=("streams.jobs",),
        job=True,
        console=False,
    ),
    Card(
        title="Three formats",
        proves="One view sends server-sent events to this page, JSON Lines to this command, or one JSON list.",
        stream="planets",
        events="planet",
        curl="curl -N -H 'Accept: application/jsonl' {url}",
    ),
    Card(
        title="Members only",
        proves="Permissions are checked before the stream opens: without a login, you get a 403 with a JSON body.",
        stream="members-events",
        page="members",
        events="greeting time",
        curl="curl -i {url}",
    ),
    Card(
        title="Chat",
        proves="A new message is published to a channel and arrives in every window, with PostgreSQL or Redis from any "
        "process.",
        stream="chat-events",
        args=("lobby",),
        page="chat",
    ),
    Card(
        title="Orders",
        proves="LiveModelMixin streams a viewset's rows and their changes, whether made in the API or in the admin.",
        stream="order-live",
        page="orders",
        events="snapshot created updated deleted",
    ),
    Card(
        title="Assistant",
        proves="A run goes on when its client leaves. Reload its page, or open it twice: no word is missing.",
        stream="assistant-runs",
        page="assistant",
        events="question word end",
        curl="curl -N -d 'prompt=Why is the sky blue?' {url}",
        body='{"prompt": "Why is the sky blue?"}',
        modules=("assistant.model",),
        console=False,
    ),
]


class Index(TemplateView):
    template_name = "streams/index.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(cards=[(card, self.curl(card)) for card in CARDS], **kwargs)

    def curl(self, card):
        return card.curl.format(url=self.request.build_absolute_uri(card.url))


class Page(TemplateView):
    """A page for one stream. ``stream`` is the name of the stream's URL."""

    stream = ""
    title = ""

    def get_context_data(self, **kwargs):
        return super().get_context_data(stream_url=reverse(self.stream), title=self.title, **kwargs)


class ProgressPage(Page):
    """A page for one job. The page's URL contains the ID of the job, so a reload shows it again."""

    template_name = "streams/progress.html"
    stream = "progress-jobs"
    title = "Progress"

    def get_context_data(self, **kwargs):
        id = self.request.GET.get("job")
        known = id is not None and find_job(id) is not None
        return super().get_context_data(
            events_url=reverse("progress-events", args=[id]) if known else None,
            unknown=id is not None and not known,
            **kwargs,
        )
