"""The cards of the index page, one for each stream."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from django.urls import reverse


@dataclass(frozen=True, kw_only=True)
class Card:
    """A card of the index page, for one stream."""

    title: str
    shows: str
    """What the stream shows."""
    try_it: str
    """What the reader may try, and what happens then."""
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
    scripts: tuple[str, ...] = ("streams/cards.js", "streams/stream.js")
    """Static files that the source page shows: the code that reads the stream."""
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

    @property
    def client(self):
        """Name of the first script, which the source page links to."""
        return PurePosixPath(self.scripts[0]).name

    def command(self, request, url):
        """Return the command that reads the stream at ``url`` in a terminal."""
        return self.curl.format(url=request.build_absolute_uri(url))


CARDS = [
    Card(
        title="Stock adrf view",
        shows="An unmodified adrf view streams with the right renderer. Each message arrives when it is yielded.",
        try_it="Look at the times: a second lies between two messages, here and in the terminal.",
        stream="test",
        starts=True,
        once=True,
    ),
    Card(
        title="Plain Django view",
        shows="The same events from a plain asynchronous Django view that returns an EventStreamResponse.",
        try_it="Start it with the browser's network panel open: one response stays open and grows.",
        stream="test2",
        console=False,
        starts=True,
        once=True,
    ),
    Card(
        title="News and weather",
        shows="Two producers in a task group write to one stream. When you stop it, both are cancelled.",
        try_it="Stop it, and look at the server's log: the stream has ended, because the client disconnected.",
        stream="news-and-weather-events",
        page="news-and-weather",
        events="news weather",
        starts=True,
        scripts=("streams/news.js", "streams/stream.js"),
    ),
    Card(
        title="Countdown",
        shows="A finite stream says that it has ended, and is read only once.",
        try_it="Wait for its end: the state is Ended, and the network panel shows no second request.",
        stream="countdown-events",
        page="countdown",
        events="tick blastoff",
        scripts=("streams/countdown.js", "streams/stream.js"),
    ),
    Card(
        title="Synchronous countdown",
        shows="A generator that blocks can stream, too. It runs in its own thread, never in the event loop.",
        try_it="Start it together with the other countdown: neither delays the other.",
        stream="countdown-sync-events",
        page="countdown-sync",
        events="tick blastoff",
        scripts=("streams/countdown.js", "streams/stream.js"),
    ),
    Card(
        title="Progress",
        shows="A POST request starts a job that reports its progress. A late client gets the current state first.",
        try_it="Start a job on its page, and reload the page: the job goes on, and so does the bar.",
        stream="progress-jobs",
        page="progress",
        events="progress done",
        curl="curl -sX POST {url} | grep -o 'http[^\"]*' | xargs curl -N",
        modules=("streams.jobs",),
        scripts=("streams/progress.js", "streams/stream.js"),
        job=True,
        console=False,
    ),
    Card(
        title="Three formats",
        shows="One view sends server-sent events to this page, JSON Lines to this command, or one JSON list.",
        try_it="Run the command with application/json instead: the list arrives when the stream has ended.",
        stream="planets",
        events="planet",
        curl="curl -N -H 'Accept: application/jsonl' {url}",
    ),
    Card(
        title="Members only",
        shows="Permissions are checked before the stream opens: without a login, you get a 403 with a JSON body.",
        try_it="Start it, log in, and start it again. Log out in a second tab: the stream ends.",
        stream="members-events",
        page="members",
        events="greeting time",
        curl="curl -i {url}",
        scripts=("streams/members.js", "streams/stream.js"),
    ),
    Card(
        title="Chat",
        shows="A new message is published to a channel and arrives in every window, with PostgreSQL or Redis from any "
        "process.",
        try_it="Start it, and send a message from the chat's page in a second tab.",
        stream="chat-events",
        args=("lobby",),
        page="chat",
        scripts=("chat/chat.js", "streams/live.js", "streams/stream.js"),
    ),
    Card(
        title="Orders",
        shows="LiveModelMixin streams a viewset's rows and their changes, whether made in the API or in the admin.",
        try_it="Start it, and order something in a second tab, or change an order in the admin.",
        stream="order-live",
        page="orders",
        events="snapshot created updated deleted",
        scripts=("orders/orders.js", "streams/stream.js"),
    ),
    Card(
        title="Assistant",
        shows="A run goes on when its client leaves. Reload its page, or open it twice: no word is missing.",
        try_it="Start it, stop it at once, and look at the server's log: the model still says its last word.",
        stream="assistant-runs",
        page="assistant",
        events="question word end",
        curl="curl -N -d 'prompt=Why is the sky blue?' {url}",
        body='{"prompt": "Why is the sky blue?"}',
        modules=("assistant.model",),
        scripts=("assistant/assistant.js", "streams/stream.js"),
        console=False,
    ),
]


def find_card(stream):
    """Return the card whose stream's URL has this name."""
    return next(card for card in CARDS if card.stream == stream)
