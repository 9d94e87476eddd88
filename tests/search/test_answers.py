"""The answer grammar: what is read, what is refused, and with which words."""

import dataclasses
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aira_jax.search.operators import answers
from aira_jax.search.operators.answers import AnswerError, EditMode, parse


@dataclasses.dataclass(frozen=True)
class Contract:
    artifact: str = "model.py"
    editable: tuple[str, ...] = ("*.py", "notes/**")
    starter: dict = dataclasses.field(default_factory=lambda: {"model.py": "x = 0\n", "util.py": "y = 0\n"})


TASK = Contract()
PARENT = {"model.py": "a = 1\nb = 2\na = 3\nb = 4\n", "util.py": "y = 2\n"}


def edit(path, old, new):
    return f"<<<<<<< SEARCH {path}\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"


def refused(text, parents=(PARENT,), task=TASK, **kw):
    with pytest.raises(AnswerError) as caught:
        parse(text, parents, task, **kw)
    return str(caught.value)


def test_the_hash_of_a_candidate_is_the_published_vector():
    sha = answers.candidate_sha({"util.py": "y = 2\n", "model.py": "x = 1\n"})
    assert sha == "c9fecaf0090d576fb87545aefc6e8cd8b99a81ed652f61b25f5cbc1a53ab2644"


def test_a_whole_file_replaces_the_starter_file_and_the_rest_is_inherited():
    got = parse("Widen it.\n\n```python path=model.py\nx = 1\n```\nbye", (), TASK)
    assert got.files == {"model.py": "x = 1\n", "util.py": "y = 0\n"}
    assert (got.plan, got.edit_mode, got.syntax_error) == ("Widen it.", EditMode.FULL, None)
    assert got.sha == answers.candidate_sha(got.files)


def test_a_lone_fence_without_a_path_is_the_artifact():
    assert parse("Plan.\n```python\nx = 5\n```", (PARENT,), TASK).files["model.py"] == "x = 5\n"


def test_an_edit_changes_the_one_place_that_its_text_names():
    got = parse("Plan.\n" + edit("model.py", "b = 2\na = 3", "b = 20"), (PARENT,), TASK)
    assert got.files == {"model.py": "a = 1\nb = 20\nb = 4\n", "util.py": "y = 2\n"}
    assert got.edit_mode is EditMode.EDIT


def test_edits_of_one_file_apply_in_their_order():
    text = edit("model.py", "a = 1", "a = 7") + edit("model.py", "a = 7\nb = 2", "a = 8")
    assert parse(text, (PARENT,), TASK).files["model.py"] == "a = 8\na = 3\nb = 4\n"


def test_an_edit_of_a_draft_refers_to_the_starter_files():
    assert parse(edit("model.py", "x = 0", "x = 9"), (), TASK).files["model.py"] == "x = 9\n"


def test_trailing_white_space_is_forgiven_when_nothing_matches_exactly():
    parent = {"model.py": "a = 1  \nb = 2\n"}
    assert parse(edit("model.py", "a = 1\nb = 2 ", "c = 3"), (parent,), TASK).files["model.py"] == "c = 3\n"


def test_an_exact_match_wins_over_one_that_needs_forgiveness():
    parent = {"model.py": "a = 1  \na = 1\n"}
    assert parse(edit("model.py", "a = 1", "a = 2"), (parent,), TASK).files["model.py"] == "a = 1  \na = 2\n"


def test_a_file_without_final_newline_stays_without_one():
    assert parse(edit("model.py", "a", "b"), ({"model.py": "a"},), TASK).files["model.py"] == "b"


def test_an_empty_replacement_removes_the_lines():
    text = "<<<<<<< SEARCH model.py\nb = 2\n=======\n>>>>>>> REPLACE"
    assert parse(text, (PARENT,), TASK).files["model.py"] == "a = 1\na = 3\nb = 4\n"


def test_edits_inside_a_fence_without_a_path_are_edits_and_not_the_artifact():
    text = "Plan.\n```\n" + edit("model.py", "b = 2", "b = 9") + "\n```\n"
    got = parse(text, (PARENT,), TASK)
    assert (got.files["model.py"], got.edit_mode) == ("a = 1\nb = 9\na = 3\nb = 4\n", EditMode.EDIT)


def test_mixed_forms_write_one_file_edit_another_and_delete_a_third():
    parent = PARENT | {"old.py": "z = 1\n"}
    text = "Plan.\n```path=new.py\nn = 1\n```\n" + edit("model.py", "a = 1", "a = 2") + "DELETE old.py\n"
    got = parse(text, (parent,), TASK)
    assert sorted(got.files) == ["model.py", "new.py", "util.py"]
    assert (got.files["model.py"], got.edit_mode) == ("a = 2\nb = 2\na = 3\nb = 4\n", EditMode.EDIT)


def test_a_fence_of_four_backticks_may_hold_one_of_three():
    text = "Plan.\n````python path=model.py\ndoc = '''\n```sh\nls\n```\n'''\n````\n"
    assert parse(text, (PARENT,), TASK).files["model.py"] == "doc = '''\n```sh\nls\n```\n'''\n"


def test_delete_counts_only_outside_of_blocks():
    text = "```path=model.py\nDELETE util.py\n```"
    assert "util.py" in parse(text, (PARENT,), TASK).files


@pytest.mark.parametrize(
    "thought",
    [
        "<think>maybe ```path=model.py\nno = 1\n```\n</think>\n",
        "<think>one</think><think>two</think>",
        "so I\n```path=model.py\nno = 1\n```\nend </think>",
    ],
)
def test_thinking_is_dropped_with_the_blocks_in_it(thought):
    got = parse(f"{thought}Plan.\n```path=model.py\nyes = 1\n```", (PARENT,), TASK)
    assert (got.plan, got.files["model.py"]) == ("Plan.", "yes = 1\n")


def test_a_think_tag_inside_a_file_is_content():
    text = "Plan.\n```path=model.py\ntag = '</think>'\n```"
    assert parse(text, (PARENT,), TASK).files["model.py"] == "tag = '</think>'\n"


def test_a_think_tag_that_is_never_closed_hides_nothing():
    assert parse("<think>Plan.\n```path=model.py\nq = 1\n```", (PARENT,), TASK).plan == "Plan."


@pytest.mark.parametrize(
    "text, words",
    [
        ("Only prose.", "holds no file: give model.py in a fence that begins with ```path=model.py"),
        ("", "holds no file"),
        ("```\na\n```\n```\nb\n```", "2 fences without a path (lines 1, 4)"),
        ("```path=model.py\nx = 1\n", "line 1: this fence is never closed"),
        ("````path=model.py\nx = 1\n```", "line 1: this fence is never closed"),
        ("<<<<<<< SEARCH model.py\na = 1\n", "line 1: this SEARCH block has no ======= line"),
        ("p\n<<<<<<< SEARCH model.py\na = 1\n=======\n", "line 2: this SEARCH block has no >>>>>>> REPLACE line"),
        ("<<<<<<< SEARCH\na = 1\n=======\nb\n>>>>>>> REPLACE", "line 1: name the file to edit"),
        (edit("model.py", "", "b"), "SEARCH text for model.py is empty"),
        (edit("model.py", "q = 9", "b"), "SEARCH text for model.py does not occur in the file (it begins 'q = 9')"),
        (edit("model.py", "a", "b"), "does not occur"),
        (edit("none.py", "a = 1", "b"), "there is no such file to edit (files: model.py, util.py)"),
        ("```path=../x\na\n```", "path '../x' has '..'"),
        ("```path=notes/../../x\na\n```", "has '..'"),
        ("```path=/x\na\n```", "path '/x' is absolute"),
        ("```path=\na\n```", "no plain relative path"),
        ("```path=notes//a\na\n```", "no plain relative path"),
        ("```path=notes\\a\na\n```", "no plain relative path"),
        ("```path=sub/model.py\na\n```", "may not be written; editable are: model.py, *.py, notes/**"),
        ("```path=evaluate.sh\na\n```", "may not be written"),
        ("```path=model.py\na\n```\n```path=model.py\nb\n```", "line 4: model.py is given twice"),
        ("```path=model.py\na\n```\n" + edit("model.py", "a", "b"), "line 4: model.py is given twice"),
        (edit("model.py", "a = 1", "b") + "```path=model.py\nb\n```", "line 6: model.py is given twice"),
        (edit("model.py", "a = 1", "b") + "DELETE model.py", "line 6: model.py is given twice"),
        ("```path=./model.py\na\n```\n```\nb\n```", "line 4: model.py is given twice"),
        ("DELETE gone.py", "line 1: DELETE gone.py: there is no such file"),
        ("DELETE model.py\nDELETE util.py", "deletes every file"),
        ("```path=model.py\n" + PARENT["model.py"] + "```", "no change"),
        (edit("model.py", "a = 1", "a = 1"), "no change"),
        ("```path=model.py\na\0b\n```", "model.py holds a NUL character"),
        ("```path=model.py\n\ud800\n```", "model.py cannot be written as UTF-8"),
        ("```path=notes/a\nx\n```\n```path=notes/a/b\nx\n```", "notes/a is a file, so notes/a/b cannot lie in it"),
    ],
)
def test_a_bad_answer_is_refused_in_words_that_mend_it(text, words):
    assert words in refused(text)


def test_a_search_text_that_occurs_twice_is_ambiguous():
    parent = {"model.py": "a = 1\nb = 2\na = 1\n"}
    message = refused(edit("model.py", "a = 1", "c"), (parent,))
    assert "ambiguous: it occurs 2 times (lines 1, 3)" in message


def test_edits_can_be_forbidden():
    message = refused("Plan.\n" + edit("model.py", "a = 1", "c"), allow_edits=False)
    assert message == "line 2: SEARCH/REPLACE edits are not allowed here; give the whole file"
    assert parse("```path=model.py\nx = 1\n```", (PARENT,), TASK, allow_edits=False)


def test_a_result_that_equals_the_second_parent_is_no_change_either():
    assert "no change" in refused(edit("util.py", "y = 2", "y = 3"), (PARENT, PARENT | {"util.py": "y = 3\n"}))


def test_a_draft_may_hand_in_the_starter_files():
    assert parse("```path=model.py\nx = 0\n```", (), TASK).files == TASK.starter


@pytest.mark.parametrize("stop_reason", ["max_tokens", "length"])
def test_a_cut_answer_is_refused_even_if_it_can_be_read(stop_reason):
    message = refused("```path=model.py\nx = 1\n```", stop_reason=stop_reason)
    assert "cut at the output limit" in message


def test_the_size_limits_hold_to_the_byte():
    fits = "#" * (answers.MAX_FILE_BYTES - 1)
    assert parse(f"```path=model.py\n{fits}\n```", (PARENT,), TASK)
    assert "at most 262144 (256 KiB)" in refused(f"```path=model.py\n{fits}#\n```")
    four = "".join(f"```path=notes/{i}\n{fits}\n```\n" for i in range(4))
    assert "at most 1048576 (1 MiB)" in refused(four)
    many = "".join(f"```path=notes/{i}\n```\n" for i in range(answers.MAX_FILES - 1))
    assert len(parse(many, ({"model.py": "x"},), TASK).files) == answers.MAX_FILES
    assert "at most 64" in refused(many)


@pytest.mark.parametrize(
    "code, words", [("def f(:", "model.py, line 1: SyntaxError"), ("if 1:\nx", "IndentationError")]
)
def test_a_syntax_error_is_a_flag_and_no_refusal(code, words):
    got = parse(f"```path=model.py\n{code}\n```", (PARENT,), TASK)
    assert words in got.syntax_error


def test_deep_nesting_is_a_syntax_error_and_a_bad_escape_is_none():
    for deep in ("(" * 5000 + ")" * 5000, "-" * 50_000 + "1", "x" + ".y" * 5000):
        assert parse(f"```path=model.py\n{deep}\n```", (PARENT,), TASK).syntax_error
    assert parse("```path=model.py\ns = '\\d'\n```", (PARENT,), TASK).syntax_error is None


lines = st.lists(
    st.one_of(
        st.text(st.characters(exclude_characters="\n\r\0\ufeff", codec="utf-8"), max_size=12),
        st.sampled_from(["```", "=======", "DELETE util.py", "</think>", "<think>", "````"]),
    ),
    max_size=8,
)


@given(lines)
@example(["", ""])
def test_any_text_survives_a_fence_that_is_long_enough(body):
    content = "".join(f"{line}\n" for line in body)
    fence = "`" * (3 + max(len(line) for line in [*body, ""]))
    got = parse(f"Plan.\n{fence}path=model.py\n{content}{fence}", ({"model.py": content + "#"},), TASK)
    assert got.files == {"model.py": content}
    assert got.plan == "Plan."


@given(lines, lines, st.sampled_from(["end_turn", "max_tokens"]))
def test_any_answer_is_a_candidate_or_an_answer_error_and_always_the_same(head, tail, stop_reason):
    text = "\n".join([*head, "```path=model.py", *tail])

    def outcome():
        try:
            return parse(text, (PARENT,), TASK, stop_reason=stop_reason)
        except AnswerError as error:
            return str(error)

    assert outcome() == outcome()


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), st.data())
def test_an_edit_is_accepted_only_where_its_text_occurs_once(letters, data):
    start = data.draw(st.integers(0, len(letters) - 1))
    wanted = letters[start : data.draw(st.integers(start + 1, len(letters)))]
    count = sum(letters[i : i + len(wanted)] == wanted for i in range(len(letters)))
    parent = {"model.py": "".join(f"{l}\n" for l in letters)}
    text = edit("model.py", "\n".join(wanted), "new")
    if count > 1:
        assert "ambiguous" in refused(text, (parent,))
    else:
        changed = [*letters[:start], "new", *letters[start + len(wanted) :]]
        assert parse(text, (parent,), TASK).files["model.py"] == "".join(f"{l}\n" for l in changed)


FILE = "```python path=util.py\nz = 1\n```\n"


@pytest.mark.parametrize(
    "text, words",
    [
        ("```diff\n--- a/model.py\n+++ b/model.py\n@@ -1,1 +1,1 @@\n-a = 1\n+a = 2\n```", "diffs are not read"),
        ("```\n--- a/model.py\n+++ b/model.py\n@@ -1 +1 @@\n-a = 1\n+a = 2\n```", "diffs are not read"),
        ("```python path=model.py\n@@ -1,4 +1,4 @@\n-a = 1\n+a = 2\n```", "diffs are not read"),
        ("```bash\npip install it\n```", "holds no file"),
        ("```sh\nls\n```", "holds no file"),
        ("```json\n{}\n```", "is this json fence a file?"),
        ("```python\n# util.py\ny = 3\n```", "its first line names util.py"),
        (FILE + "```\nx = 1\n```", "this fence has no path"),
        ("```path=util.py\ndoc = '''\n```\nexample\n```\n'''\n```", "this fence has no path"),
        ("```path=util.py\ndoc = '''\n```\nexample\n```\nx\n```\n", "this fence has no path"),
        ("```python path=model.py\ndoc = '''\n```python\nx\n```\n'''\n```", "a fence begins inside the one of line 1"),
        ("```path=model.py\nx = 1\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```", "stands alone or is misspelt"),
        ("<<<<<<< SEARCH model.py\na = 1\n=======\nb\n=======\nc\n>>>>>>> REPLACE", "more than one ======= line"),
        (
            "<<<<<<< SEARCH model.py\na = 1\n=======\nb\n" + edit("util.py", "y = 2", "y = 3"),
            "'<<<<<<< SEARCH util.py' stands alone",
        ),
        ("<<<<<< SEARCH model.py\na = 1\n=======\nb\n>>>>>> REPLACE\n" + FILE, "stands alone or is misspelt"),
        ("  <<<<<<< SEARCH model.py\na = 1\n=======\nb\n>>>>>>> REPLACE\n" + FILE, "stands alone or is misspelt"),
        (FILE + ">>>>>>> REPLACE\n", "stands alone or is misspelt"),
        ("~~~python path=model.py\nx = 1\n~~~\n" + FILE, "write fences with backticks"),
        ("```python path=model.py\n" + edit("util.py", "y = 2", "y = 3") + "```", "stands in a fence of model.py"),
        ("```\n" + edit("model.py", "a = 1", "a = 2"), "line 1: this fence is never closed"),
    ],
)
def test_what_could_be_misread_is_asked_back(text, words):
    assert words in refused(text)


@pytest.mark.parametrize(
    "opening",
    [
        "```python path=util.py",
        "```python:util.py",
        "```python filename=util.py",
        '```python title="util.py"',
        "```python file='util.py'",
        "```{.python path=util.py}",
        "```python util.py",
        "```util.py",
        "**util.py**\n```python",
        "### `util.py`\n\n```python",
        "File: util.py\n```",
        "1. **`util.py`**:\n```python",
    ],
)
def test_a_name_that_is_clear_is_taken_wherever_it_stands(opening):
    got = parse(f"Plan.\n{opening}\nz = 9\n```\n", (PARENT,), TASK)
    assert got.files == PARENT | {"util.py": "z = 9\n"}


def test_edits_in_a_fence_with_a_path_are_edits_of_that_file():
    text = "```python path=model.py\n<<<<<<< SEARCH\nb = 2\n=======\nb = 9\n>>>>>>> REPLACE\n```"
    assert parse(text, (PARENT,), TASK).files["model.py"] == "a = 1\nb = 9\na = 3\nb = 4\n"


@pytest.mark.parametrize("ticks", ["```", "````"])
def test_an_answer_wrapped_in_markdown_is_read_inside(ticks):
    text = f"{ticks}markdown\nPlan.\n\n```python path=model.py\nx = 1\n```\nDone.\n{ticks}\n"
    got = parse(text, (PARENT,), TASK)
    assert (got.plan, got.files["model.py"]) == ("Plan.", "x = 1\n")


def test_commands_beside_a_file_are_prose():
    assert parse("```bash\npip install it\n```\n" + FILE, (PARENT,), TASK).files == PARENT | {"util.py": "z = 1\n"}


def test_a_byte_order_mark_hides_no_fence_and_line_ends_are_normalised():
    got = parse("\ufeff```python path=model.py\r\nx = 1\r\n```\r\n", (PARENT,), TASK)
    assert got.files["model.py"] == "x = 1\n"


def test_a_copy_of_the_parent_with_other_line_ends_is_no_change():
    copy = "```path=model.py\r\n" + PARENT["model.py"].replace("\n", "\r\n") + "```"
    assert "no change" in refused(copy)
    assert "no change" in refused("```path=model.py\na = 1\n```", ({"model.py": "a = 1\r\n"},))


@pytest.mark.parametrize(
    "stop_reason", ["error", "abort", "cancelled", "incomplete", "pause_turn", "tool_use", "SAFETY", "unheard of"]
)
def test_only_a_reason_known_as_complete_ends_an_answer(stop_reason):
    assert "broken off" in refused("```path=model.py\nx = 1\n```", stop_reason=stop_reason)


def test_max_tokens_in_capitals_is_a_cut_answer():
    assert "cut at the output limit" in refused("```path=model.py\nx = 1\n```", stop_reason="MAX_TOKENS")


def test_many_fences_and_edits_take_linear_time():
    started = time.monotonic()
    for piece in ("```\n", "```a=b\n\n", "```bash\n```\n", "<<<<<<< SEARCH\n", "<think>\n"):
        with pytest.raises(AnswerError):
            parse(piece * 20_000, (PARENT,), TASK)
    assert time.monotonic() - started < 10  # quadratic: minutes


markers = st.sampled_from(
    [
        "```",
        "```python",
        "=======",
        ">>>>>>> REPLACE",
        "<<<<<<< SEARCH model.py",
        "````",
        "x = 1",
        "",
        "# util.py",
        "~~~ a",
    ]
)


@given(st.lists(markers, max_size=8), st.lists(markers, max_size=4), st.sampled_from(["model.py", "util.py"]))
def test_no_accepted_answer_holds_a_marker_line_or_loses_text_of_its_file(body, tail, path):
    text = "\n".join(["Plan.", f"```python path={path}", *body, "```", *tail])
    try:
        got = parse(text, (PARENT,), TASK)
    except AnswerError:
        return
    for content in got.files.values():
        assert not any(line.startswith(("<<<<<<<", ">>>>>>>")) for line in content.split("\n"))
    written = "".join(f"{line}\n" for line in body)
    edited = written.lstrip("\n").startswith("<<<<<<< SEARCH")
    asides = "```" in body  # the file ends there, and what follows is read for itself
    assert edited or asides or got.files[path] == written
