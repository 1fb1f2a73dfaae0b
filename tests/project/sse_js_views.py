"""The views for tests of shared streams: a channel of numbers, and a page to read it from."""

from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from adrf_sse.channels import apublish
from adrf_sse.views import ChannelStreamView


class Numbers(ChannelStreamView):
    authentication_classes = []
    retry = 1

    def get_channels(self):
        return ["numbers"]


@csrf_exempt
async def publish_number(request, number):
    await apublish("numbers", number, event="number")
    return HttpResponse(status=204)


async def page(request):
    return HttpResponse('<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>Page</title></html>')


urlpatterns = [
    path("page/", page),
    path("numbers/", Numbers.as_view()),
    path("numbers/<int:number>/", publish_number),
]
