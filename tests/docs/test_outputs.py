"""A page whose output differs from the real one is found."""

import pytest

from tests.docs.outputs import Outputs

SHOWN = "HTTP/1.1 200 OK\nDate: today\nContent-Type: text/event-stream\n\nid: 1795260012345678\ndata: a\n\n"


@pytest.mark.parametrize(
    "expected",
    [
        SHOWN,
        SHOWN.replace("Date: today", "…"),
        SHOWN.replace("today", "…"),
        SHOWN.replace("Date: today\nContent-Type: text/event-stream", "…"),
        SHOWN.replace("1795260012345678", "1234567890123456"),
        "",
    ],
)
def test_what_differs_each_time_may_differ(expected):
    Outputs(8001).compare(expected, SHOWN)


@pytest.mark.parametrize(
    "expected",
    [
        SHOWN.replace("data: a", "data: b"),
        SHOWN.replace("Date: today\n", ""),
        SHOWN.replace("1795260012345678", "17952600123456"),
        SHOWN.replace("200 OK", "…").replace("text/event-stream", "…; charset=utf-8"),
        SHOWN + "\n",
        SHOWN.removesuffix("\n"),
        "…\n$ ls\n",
    ],
)
def test_a_difference_is_found(expected):
    with pytest.raises(AssertionError, match="The page shows"):
        Outputs(8001).compare(expected, SHOWN)


def test_a_part_of_an_output_is_compared_line_by_line():
    outputs = Outputs(8001)
    outputs.compare("Date: …\n…\nid: 1234567890123456\n", SHOWN, whole=False)
    with pytest.raises(AssertionError):
        outputs.compare("Date: …\nid: 1234567890123456\n", SHOWN, whole=False)


def test_an_id_stands_for_the_same_id_on_the_whole_page():
    outputs = Outputs(8001)
    outputs.compare("id: 1000000000000001\n", "id: 1795260012345678\n")
    assert outputs.real("Last-Event-ID: 1000000000000001") == "Last-Event-ID: 1795260012345678"
    with pytest.raises(AssertionError):
        outputs.compare("id: 1000000000000001\n", "id: 1795260012345679\n")


def test_an_id_that_a_page_repeats_is_the_same_twice():
    with pytest.raises(AssertionError):
        Outputs(8001).compare("1000000000000001\n1000000000000001\n", "1795260012345678\n1795260012345679\n")


def test_the_port_of_the_page_stands_for_the_real_one():
    outputs = Outputs(8001)
    assert outputs.real("curl http://127.0.0.1:8000/a/") == "curl http://127.0.0.1:8001/a/"
    outputs.compare("at http://127.0.0.1:8000/\n", "at http://127.0.0.1:8001/\n")
