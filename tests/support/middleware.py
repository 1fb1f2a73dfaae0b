"""Middleware used by the tests."""

import threading

from django.utils.decorators import async_only_middleware, sync_only_middleware


@sync_only_middleware
def sync_only(get_response):
    def middleware(request):
        response = get_response(request)
        response["X-Middleware-Thread"] = str(threading.get_ident())
        return response

    return middleware


@async_only_middleware
def wrapping(get_response):
    """Wrap the content in an asynchronous generator that does not close it, as much middleware does."""

    async def middleware(request):
        response = await get_response(request)
        if response.streaming and response.is_async:
            content = response.streaming_content

            async def wrapped():
                async for chunk in content:
                    yield b": wrapped\n" + chunk

            response.streaming_content = wrapped()
        return response

    return middleware


@sync_only_middleware
def sync_wrapping(get_response):
    """Wrap the content as Django's documentation shows, asynchronously if the response is asynchronous."""

    def middleware(request):
        response = get_response(request)
        content = response.streaming_content
        if response.is_async:

            async def wrapped():
                async for chunk in content:
                    yield b": wrapped\n" + chunk

            response.streaming_content = wrapped()
        else:
            response.streaming_content = (b": wrapped\n" + chunk for chunk in content)
        return response

    return middleware


@sync_only_middleware
def strict_content_security_policy(get_response):
    """Allow neither inline scripts and styles nor other origins."""

    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'"
        return response

    return middleware
