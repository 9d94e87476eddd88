"""scripts/lra_evaluate.py finds the task folder and hands the flags on."""

import pytest

from aira_jax.tasks.lra import by_hand as evaluate
from lra import settings


@pytest.mark.parametrize("task", settings.TASKS)
def test_every_task_has_its_folder(task):
    found = evaluate.posed(task)
    assert (found.name, found.configurable) == (task, False)
    assert (found.folder / "evaluate.py").is_file()
    assert evaluate.posed(found.folder.name) == found


def test_configurable_tasks_are_found_by_flag_or_folder():
    found = evaluate.posed("text", configurable=True)
    assert found.folder.name == "LongContextReasoningLRATextConfigurableAccuracy"
    assert found.configurable
    assert evaluate.posed(found.folder.name) == found


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--task=listop"], "did you mean"),
        (["--task=recall", "--configurable"], "recall has fixed settings"),
    ],
)
def test_unknown_tasks_and_forms_end_with_exit_2(flags, words, capsys):
    assert evaluate.main(flags) == 2
    assert words in capsys.readouterr().err


def test_help_needs_no_task_and_tells_of_a_tasks_own_flags(capsys):
    assert evaluate.main(["--help"]) == 0
    assert "--task=TASK --help" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        evaluate.main(["--task=listops", "--help"])
    assert "--submission-file" in capsys.readouterr().out


def test_a_missing_task_ends_with_exit_2(capsys):
    with pytest.raises(SystemExit, match="2"):
        evaluate.main(["--submission-file=model.py"])
    assert "--task is missing" in capsys.readouterr().err


def test_the_flags_of_evaluate_py_are_handed_on(tmp_path, capsys):
    path = tmp_path / "model.py"
    path.write_text("class CustomEncoder:\n    pass\n")
    flags = ["--task=listops", f"--submission-file={path}", "--stage=check", "--profile=smoke"]
    assert evaluate.main(flags) == 0
    assert evaluate.main([*flags, "--task=retrieval"]) == 2
    assert "CustomDualEncoder" in capsys.readouterr().err
