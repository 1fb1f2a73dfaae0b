"""URLs of the pages and their streams."""

from django.urls import path

from streams.countdown import Countdown, SyncCountdown
from streams.members import MembersClock
from streams.messages import StockView, plain_view
from streams.news import NewsAndWeather
from streams.pages import Index, Page, ProgressPage
from streams.planets import Planets
from streams.progress import JobProgress, Jobs
from streams.source import SourcePage
from streams.words import Words


def page(name, stream):
    return Page.as_view(template_name=f"streams/{name}.html", stream=stream)


urlpatterns = [
    path("", Index.as_view(), name="index"),
    path("test/", StockView.as_view(), name="test"),
    path("test2/", plain_view, name="test2"),
    path("countdown/", page("countdown", "countdown-events"), name="countdown"),
    path("countdown/events/", Countdown.as_view(), name="countdown-events"),
    path("countdown/sync/", page("countdown", "countdown-sync-events"), name="countdown-sync"),
    path("countdown/sync/events/", SyncCountdown.as_view(), name="countdown-sync-events"),
    path(
        "news-and-weather/",
        page("news-and-weather", "news-and-weather-events"),
        name="news-and-weather",
    ),
    path("news-and-weather/events/", NewsAndWeather.as_view(), name="news-and-weather-events"),
    path("progress/", ProgressPage.as_view(), name="progress"),
    path("progress/jobs/", Jobs.as_view(), name="progress-jobs"),
    path("progress/jobs/<str:id>/events/", JobProgress.as_view(), name="progress-events"),
    path("planets/", Planets.as_view(), name="planets"),
    path("members/", page("members", "members-events"), name="members"),
    path("members/events/", MembersClock.as_view(), name="members-events"),
    path("source/<slug:slug>/", SourcePage.as_view(), name="source"),
    path("words/", Words.as_view(), name="words"),
]
