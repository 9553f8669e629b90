from __future__ import annotations

import pytest

from mlplat.runs.progress import Steps, plain, tail

RUN = """\
Metaflow 2.19.39 executing TrainFlow for user:me
2026-11-21 09:31:19.373 Workflow starting (run-id 1795):
2026-11-21 09:31:19.400 [1795/start/1 (pid 10)] Task is starting.
2026-11-21 09:31:19.784 [1795/start/1 (pid 10)] hello
2026-11-21 09:31:19.900 [1795/start/1 (pid 10)] Task finished successfully.
2026-11-21 09:31:20.000 [1795/search/2 (pid 11)] Task is starting.
2026-11-21 09:31:20.100 [1795/search/3 (pid 12)] Task is starting.
2026-11-21 09:31:20.500 [1795/search/3 (pid 12)] Task finished successfully.
2026-11-21 09:31:22.000 [1795/search/2 (pid 11)] Task finished successfully.
2026-11-21 09:31:22.100 [1795/join/4 (pid 13)] Task is starting.
""".splitlines()
FAILURE = """\
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] <flow TrainFlow step join> failed:
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] Internal error
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] Traceback (most recent call last):
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] File "/env/lib/metaflow/cli.py", line 739, in main
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] start(auto_envvar_prefix="METAFLOW", obj=state)
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] File "/env/lib/metaflow/task.py", line 118, in _exec
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] step_function(input_obj)
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] File "/p/flows/train.py", line 17, in join
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] raise ValueError("no good")
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] ValueError: no good
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)]
2026-11-21 09:31:23.000 [1795/join/4 (pid 13)] Task failed.
2026-11-21 09:31:23.100 Workflow failed.
2026-11-21 09:31:23.100 Terminating 0 active tasks...
    Step failure:
    Step join (task-id 4) failed.
""".splitlines()


def follow(lines: list[str]) -> tuple[list[str], list[str], Steps]:
    started: list[str] = []
    ended: list[str] = []
    steps = Steps(started.append, ended.append)
    for line in lines:
        steps.read(line)
    return started, ended, steps


def test_each_step_is_told_once_with_its_time() -> None:
    started, ended, _ = follow(RUN)
    assert started == ["start", "search", "join"]
    assert ended == ["start        0.5 s", "search       2.0 s  (2 tasks)"]


@pytest.mark.parametrize(
    "mixed",
    [
        "{0} {1} Cloning previously run task a\nCloning previously run task b",
        "{0} Cloning previously run task a\n{1} Cloning previously run task b",
        "2026-11-21 09:31:19.500 {0} Cloning previously run task a\n[1795/search/3] Cloning previously run task b",
    ],
)
def test_reused_steps_are_told_even_when_their_lines_mix(mixed: str) -> None:
    heads = ("2026-11-21 09:31:19.400 [1795/start/1]", "2026-11-21 09:31:19.400 [1795/search/2]")
    steps = [*mixed.format(*heads).splitlines(), "2026-11-21 09:31:22.100 [1795/join/4 (pid 13)] Task is starting."]
    assert follow(steps)[1] == ["start        reused", "search       reused"]


def test_a_failed_step_and_one_that_was_cut_short_are_told_at_the_end() -> None:
    _, ended, steps = follow(RUN + FAILURE)
    steps.close()
    assert ended[-1] == "join         failed"
    assert steps.failed == "join"
    _, ended, steps = follow(RUN)
    steps.close()
    assert ended[-1] == "join         not finished"


def test_a_step_that_was_taken_over_from_an_earlier_run_is_said_to_be() -> None:
    lines = ["2026-11-21 09:31:21.463 [1796/start/1] Cloning previously run task 1795/start/1", *RUN[-1:]]
    assert follow(lines)[1] == ["start        reused"]


@pytest.mark.parametrize("line", ["", "Done!", "[x] y", "2026-11-21 09:31:21.463 [1796/start] Task is starting."])
def test_other_lines_are_passed_over(line: str) -> None:
    assert follow([line])[:2] == ([], [])


def test_the_tail_of_a_failure_is_the_project_s_own_frames() -> None:
    assert tail(RUN + FAILURE) == [
        'File "/p/flows/train.py", line 17, in join',
        'raise ValueError("no good")',
        "ValueError: no good",
    ]


def test_the_tail_of_a_flow_that_never_started_is_its_last_lines() -> None:
    assert tail(["a", "Usage: train.py run", "Error: no such option: --nope"], 2) == [
        "Usage: train.py run",
        "Error: no such option: --nope",
    ]


def test_plain_takes_metaflow_s_marks_off() -> None:
    assert [plain(line) for line in (RUN[1], RUN[3], "x")] == ["Workflow starting (run-id 1795):", "hello", "x"]


def test_a_clock_that_is_set_back_makes_no_negative_time() -> None:
    _, ended, _ = follow([line.replace("09:31:19.900", "08:31:19.900") for line in RUN])
    assert ended[0].split() == ["start", "0.0", "s"]
