"""The suites, by name. A module of a suite has its measures and columns, and names its contenders."""

from benchmarks.suites.compress import COMPRESS_SUITE
from benchmarks.suites.fanout import FANOUT_SUITE
from benchmarks.suites.live import LIVE_SUITE
from benchmarks.suites.publishing import PUBLISHING_SUITE
from benchmarks.suites.storms import STORMS_SUITE
from benchmarks.suites.streams import STREAMS_SUITE

SUITES = {
    "streams": STREAMS_SUITE,
    "fanout": FANOUT_SUITE,
    "publishing": PUBLISHING_SUITE,
    "live": LIVE_SUITE,
    "compress": COMPRESS_SUITE,
    "storms": STORMS_SUITE,
}
