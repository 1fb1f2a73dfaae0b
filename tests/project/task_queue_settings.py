"""The settings for tests of task queues: the broker is the Redis at ``TEST_REDIS_URL``."""

import json
import os

from tests.project.settings import *  # noqa: F403

ROOT_URLCONF = "tests.project.task_queue_views"
REDIS_URL = os.environ["TEST_REDIS_URL"]
ADRF_SSE = {
    "BROKER": {"BACKEND": "adrf_sse.brokers.redis.RedisBroker", "OPTIONS": {"url": REDIS_URL}},
    **json.loads(os.environ.get("TEST_ADRF_SSE", "{}")),
}
