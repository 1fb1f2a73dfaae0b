"""The UI message stream of Vercel's AI SDK, which a client that has left can resume."""

import logging
from asyncio import create_task

from rest_framework import status
from rest_framework.response import Response

from adrf_sse.channels import acurrent_event_id, apublish, subscribe
from adrf_sse.views import AsyncSSEAPIView
from protocols.ui_messages import chunks

running = {}  # the task and the first position of each answer


class ResumableChat(AsyncSSEAPIView):
    async def post(self, request):
        channel = f"chat.{request.data['id']}"
        start = await acurrent_event_id()
        task = create_task(answer(channel, request.data["messages"][-1]["parts"][0]["text"]))
        running[channel] = task, start
        return self.follow(channel, start)

    async def get(self, request, id):
        if (channel := f"chat.{id}") in running:
            return self.follow(channel, running[channel][1])
        return Response(status=status.HTTP_204_NO_CONTENT)

    async def follow(self, channel, start):
        async with subscribe(channel, last_event_id=start) as events:
            async for event in events:
                yield event
                if event.data == "[DONE]":
                    return


async def answer(channel, prompt):
    try:
        async for chunk in chunks(prompt):
            await apublish(channel, chunk)
    except Exception:
        logging.exception("The answer in %s has failed.", channel)
        await apublish(channel, {"type": "error", "errorText": "The model has failed."})
    finally:
        del running[channel]
        await apublish(channel, "[DONE]")
