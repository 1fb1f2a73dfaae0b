"""``manage.py run_tasks``: run the tasks that views have enqueued."""

import logging
import signal
import sys
import time

from django.core.management.base import BaseCommand
from django.db import close_old_connections
from django.utils.module_loading import import_string

from adrf_sse.brokers import get_broker
from tasks.models import QueuedTask

logger = logging.getLogger("tasks")


class Command(BaseCommand):
    help = "Runs queued tasks, one after the other, until SIGINT or SIGTERM."

    def add_arguments(self, parser):
        parser.add_argument("--interval", type=float, default=0.2, help="Seconds between two looks at the queue.")

    def handle(self, *args, interval, **options):
        # produce_sync() then ends the run of the current task.
        signal.signal(signal.SIGTERM, lambda *args: sys.exit(0))
        if get_broker().process_local:
            self.stderr.write("The runs of the server can't be produced here. Set DATABASE_URL or REDIS_URL for both.")
        self.stdout.write("Waiting for tasks.")
        self.stdout.flush()
        try:
            while True:
                close_old_connections()
                if (task := QueuedTask.claim()) is None:
                    time.sleep(interval)
                else:
                    run(task)
        except KeyboardInterrupt:
            pass


def run(task):
    """Run a task, and note how it has ended."""
    status = QueuedTask.Status.FAILED
    try:
        arguments, options = task.arguments
        import_string(task.path).call(*arguments, **options)
        status = QueuedTask.Status.DONE
    except Exception:
        logger.exception("The task %s has failed.", task.path)
    finally:
        task.end(status)
