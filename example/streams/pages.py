"""The pages. What moves on them comes from the streams."""

from dataclasses import dataclass

from django.urls import reverse
from django.views.generic import TemplateView


@dataclass(frozen=True, kw_only=True)
class Card:
    """Show one stream on the index."""

    title: str
    proves: str
    stream: str
    """Name of the stream's URL."""
    args: tuple[str, ...] = ()
    """What else that URL takes."""
    page: str = ""
    """Name of the URL of the page that has the stream to itself."""
    events: str = "message"
    """Names of its events, with spaces between them."""
    curl: str = "curl -N {url}"
    starts: bool = False
    """Starts with the page."""
    once: bool = False
    """The page closes it when the server ends it; else the browser would have it all again."""
    console: bool = True
    """Its address shows a console in a browser."""
    job: bool = False
    """``stream`` is where to POST; the answer tells the stream's URL."""

    @property
    def url(self):
        return reverse(self.stream, args=self.args)

    @property
    def slug(self):
        return self.stream.replace("-events", "")


CARDS = [
    Card(
        title="Stock adrf view",
        proves="An unmodified adrf view streams as soon as its renderer is named: each message comes as it is made.",
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
        proves="Two producers in a task group feed one stream, and are cancelled when you stop it.",
        stream="news-and-weather-events",
        page="news-and-weather",
        events="news weather",
        starts=True,
    ),
    Card(
        title="Countdown",
        proves="A stream with an end stays ended: the browser comes back once, gets 204, and leaves it at that.",
        stream="countdown-events",
        page="countdown",
        events="tick blastoff",
    ),
    Card(
        title="Sync countdown",
        proves="A generator that blocks streams just as well, in a thread of its own and never in the event loop.",
        stream="countdown-sync-events",
        page="countdown-sync",
        events="tick blastoff",
    ),
    Card(
        title="Progress",
        proves="A job started with POST reports how far it is, and whoever comes late gets its present state first.",
        stream="progress-jobs",
        page="progress",
        events="progress done",
        curl="curl -sX POST {url} | grep -o 'http[^\"]*' | xargs curl -N",
        job=True,
        console=False,
    ),
    Card(
        title="Three ways to read",
        proves="One view gives server-sent events here, JSON Lines to the command below, and a JSON list to others.",
        stream="planets",
        events="planet",
        curl="curl -N -H 'Accept: application/jsonl' {url}",
    ),
    Card(
        title="Members only",
        proves="Permissions are checked before the stream is opened: a stranger gets a real 403, with a JSON body.",
        stream="members-events",
        page="members",
        events="greeting time",
        curl="curl -i {url}",
    ),
    Card(
        title="Chat",
        proves="Who posts publishes to a channel; every open window hears it, from any process if Redis is there.",
        stream="chat-events",
        args=("lobby",),
        page="chat",
    ),
    Card(
        title="Orders",
        proves="A model's post_save publishes on commit: what the API or the admin saves shows in every window.",
        stream="orders-events",
        page="orders",
        events="order order-deleted",
    ),
]


class Index(TemplateView):
    template_name = "streams/index.html"

    def get_context_data(self, **kwargs):
        return super().get_context_data(cards=[(card, self.curl(card)) for card in CARDS], **kwargs)

    def curl(self, card):
        return card.curl.format(url=self.request.build_absolute_uri(card.url))


class Page(TemplateView):
    """Show one stream; ``stream`` names its URL."""

    stream = ""
    title = ""

    def get_context_data(self, **kwargs):
        return super().get_context_data(stream_url=reverse(self.stream), title=self.title, **kwargs)
