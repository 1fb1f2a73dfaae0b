"""A backend of ``django.tasks`` as small as possible: tasks are rows, and ``manage.py run_tasks`` runs them.

It has no results, priorities or delays. Use one of a package in a project.
"""

from django.tasks import TaskResult, TaskResultStatus
from django.tasks.backends.base import BaseTaskBackend
from django.tasks.signals import task_enqueued
from django.utils import timezone

from tasks.models import QueuedTask


class DatabaseBackend(BaseTaskBackend):
    supports_async_task = True

    def enqueue(self, task, args, kwargs):
        self.validate_task(task)
        queued = QueuedTask.objects.create(path=task.module_path, arguments=[args, kwargs])
        result = TaskResult(
            task=task,
            id=str(queued.pk),
            status=TaskResultStatus.READY,
            enqueued_at=timezone.now(),
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )
        task_enqueued.send(type(self), task_result=result)
        return result
