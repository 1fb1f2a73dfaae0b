"""Sources that record how they are run."""

import asyncio


class Recorder:
    """A source that yields its items and records whether it was started and closed, and in which task."""

    def __init__(self, *items):
        self.items = items
        self.started = False
        self.closed = False
        self.yielded = 0
        self.start_task = None
        self.close_task = None

    async def run(self):
        self._start()
        try:
            for item in self.items:
                self.yielded += 1
                yield item
        finally:
            self._close()

    async def run_for_ever(self):
        self._start()
        try:
            for item in self.items:
                self.yielded += 1
                yield item
            await asyncio.Event().wait()
        finally:
            self._close()

    def run_in_thread(self):
        self.started = True
        try:
            for item in self.items:
                self.yielded += 1
                yield item
        finally:
            self.closed = True

    def _start(self):
        self.started = True
        self.start_task = asyncio.current_task()

    def _close(self):
        self.closed = True
        self.close_task = asyncio.current_task()
