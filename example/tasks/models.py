from django.db import models


class QueuedTask(models.Model):
    """A task that a worker runs once."""

    class Status(models.TextChoices):
        READY = "ready"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    path = models.CharField(max_length=200)
    arguments = models.JSONField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.READY, db_index=True)

    class Meta:
        ordering = ["pk"]

    @classmethod
    def claim(cls) -> "QueuedTask | None":
        """Return the oldest task that nobody runs, which the caller runs from now on."""
        for task in cls.objects.filter(status=cls.Status.READY):
            # Only one worker changes the row.
            if cls.objects.filter(pk=task.pk, status=cls.Status.READY).update(status=cls.Status.RUNNING):
                return task
        return None

    def end(self, status: Status) -> None:
        self.status = status
        self.save(update_fields=["status"])
