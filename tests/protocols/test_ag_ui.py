"""AG-UI's client runs an agent."""


def test_a_whole_run(in_node):
    seen = in_node("ag_ui")["whole"]
    text = ["TEXT_MESSAGE_START", *["TEXT_MESSAGE_CONTENT"] * 3, "TEXT_MESSAGE_END"]
    assert seen == {"events": ["RUN_STARTED", *text, "RUN_FINISHED"], "message": "one pause two "}


def test_a_failed_run_ends_with_the_protocols_error(in_node):
    seen = in_node("ag_ui")["failing"]
    assert seen["events"][-2:] == ["TEXT_MESSAGE_CONTENT", "RUN_ERROR"]
    assert seen["error"] == {"type": "RUN_ERROR", "code": "model", "message": "The model has failed."}


def test_an_aborted_run_stops_the_model(in_node, wait_until_stopped):
    wait_until_stopped(in_node("ag_ui")["aborted"])
