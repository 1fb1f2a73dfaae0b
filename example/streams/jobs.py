"""Long jobs, which run in a separate event loop in this process.

The event loop of a request can't run them, because under WSGI it ends with the request. A real project would use a
task queue.
"""

import asyncio
import secrets
from functools import cache, partial
from threading import Thread

from django.conf import settings

MAX_JOBS = 50
STEP = 5
"""Progress of one step, in percent."""

_jobs = {}


class TooManyJobs(Exception):
    """Raised if ``MAX_JOBS`` jobs are already running."""


class Job:
    """A job that notifies its watchers of its progress."""

    def __init__(self):
        self.id = secrets.token_urlsafe(8)
        self.percent = 0
        self.running = None
        """The future of the task. The event loop keeps only a weak reference to the task."""
        self._watchers = set()

    @property
    def done(self):
        return self.percent >= 100

    async def run(self):
        while not self.done:
            await asyncio.sleep(settings.EXAMPLE_TICK / 5)
            self.percent += STEP
            for notify in tuple(self._watchers):
                notify()

    async def watch(self):
        """Yield the current percentage, and then every change, up to 100."""
        changed = asyncio.Event()
        # The job runs in another thread, and asyncio.Event is not thread-safe.
        notify = partial(asyncio.get_running_loop().call_soon_threadsafe, changed.set)
        self._watchers.add(notify)
        try:
            percent = self.percent
            yield percent
            while percent < 100:
                await changed.wait()
                changed.clear()
                if percent != self.percent:
                    percent = self.percent
                    yield percent
        finally:
            self._watchers.discard(notify)


def start_job():
    """Start a job, and delete the oldest finished jobs if there are too many. Raises ``TooManyJobs``."""
    while len(_jobs) >= MAX_JOBS:
        _forget_oldest()
    job = Job()
    job.running = asyncio.run_coroutine_threadsafe(job.run(), _loop())
    _jobs[job.id] = job
    return job


def find_job(id):
    """Return the job, or ``None``."""
    return _jobs.get(id)


def _forget_oldest():
    oldest = next((job for job in list(_jobs.values()) if job.done), None)
    if oldest is None:
        raise TooManyJobs
    _jobs.pop(oldest.id, None)


@cache
def _loop():
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="jobs", daemon=True).start()
    return loop
