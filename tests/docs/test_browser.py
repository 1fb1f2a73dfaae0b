"""The examples of ``docs/browser.md``."""

from tests.docs.examples import examples


def test_the_documented_url_patterns_serve_the_module(settings, client):
    settings.DEBUG = True
    settings.STATIC_URL = "/static/"
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.contrib.staticfiles"]
    urls = examples("browser.md", urlpatterns=[])
    settings.ROOT_URLCONF = type("URLs", (), {"urlpatterns": urls["urlpatterns"]})
    response = client.get("/static/adrf_sse/sse.js")
    assert response.status_code == 200
    assert b"export function open" in b"".join(response.streaming_content)
