"""The words of every prompt. Pure text from plain values; what goes into them is chosen in operators.py.

PROMPT_VERSION is part of a run's record: raise it with every change of a word below. Runs of version 1 go on with the
prompts that they began with (`requests.PromptContext.version`).
"""

import enum
import re
from collections.abc import Mapping, Sequence

from aira_jax.core.operators import Operator
from aira_jax.proxies.fidelity import Signal

PROMPT_VERSION = 2
HEAD_CHARS = TAIL_CHARS = 2500
UNCUT_CHARS = 5100


class Complexity(enum.StrEnum):
    """How ambitious the next idea should be; grows with the number of tries so far."""

    SIMPLE = "simple"
    NORMAL = "normal"
    COMPLEX = "complex"


ROLE = """\
You are a research engineer who searches for better machine-learning designs, one step at a time. In each step you \
hand in one candidate; a program reads your answer, runs the candidate under limits and measures it. Nobody reads \
between the lines: what the answer format below cannot express does not reach the program."""

RULES = """\
- Begin every answer with a plan of 3 to 10 sentences: the idea, why it should help, what exactly you do. Files and \
edits come after the plan.
- Use only the training and validation material that is described here. The test data are out of bounds: do not look \
for them, guess at them or prepare for them.
- Leave the evaluator alone: do not read, import or change its files, and do not print text that looks like its results.
- Do not depend on the network or on the time of day, and do not play tricks with clocks, processes or limits.
- There is no network."""
IMPORTS = " Only the packages listed below can be imported."

ANALYST = """\
You are a careful reviewer of machine-learning experiments. You are shown a task, one candidate and what its run \
printed. Judge this one run; you do not design the next one."""

DATA_IS_TRAINED = """\
The task's evaluator reads the artifact as data, trains what it describes on the training split and scores it on the \
validation split. Numbers that a program of yours prints are not trusted."""
SIGNALS = {
    Signal.LOSS: (
        "Candidates are compared by a signal beside the metric, the cross-entropy of the validation targets in nats "
        "(loss): lower is better."
    ),
    Signal.CURVE: (
        "Candidates are compared by a signal beside the metric, the mean training loss over all epochs in nats, that "
        "is the area under the training curve (curve): lower is better."
    ),
}
CODE_IS_TRAINED = """\
The task's evaluator trains your code on the training split inside a sandbox, then scores its predictions on the \
validation split. Numbers that your code prints are not trusted."""
SELF_REPORTED = """\
Your own program {entry} is run. It must measure {metric} on the validation split, print it as its last line in the \
form `{metric}: <number>`, and write the artifact {artifact}."""

INSTRUCTIONS = {
    Operator.DRAFT: """\
Propose a first solution along one coherent idea. It must differ in substance from every design told of below. Keep it \
simple enough to finish well within the limits: a plain candidate that runs is worth more than a clever one that does \
not.""",
    Operator.IMPROVE: """\
Improve the parent below by exactly one change whose effect the measurement can show. Say in the plan what the change \
is, how much it should move the fitness and in which direction. Keep everything that works: leave the rest of the \
parent as it is, and do not repeat a change that was tried before.""",
    Operator.DEBUG: """\
The parent below failed. Find the cause in the failure report and mend it. Keep the idea of the parent: this step \
repairs, it does not redesign. If a repair in the chain below was tried already and did not help, try another.""",
    Operator.CROSSOVER: """\
Combine the two parents below into one candidate. Name in the plan the strength that you take from each, and make \
sure that both are really present in the result. Your files and edits start from parent A.""",
    Operator.ANALYZE: """\
Say whether this run is valid: did the candidate do what the task asks, without an error, and with the artifact in \
place? Then tell in two to five sentences what happened: for a failure the cause and the place, for a success what \
was measured. When it worked, make no suggestions.""",
}

COMPLEXITY = {
    Complexity.SIMPLE: "Few designs were tried so far. Choose a simple, well-known approach.",
    Complexity.NORMAL: "Some designs were tried. Choose an approach of medium sophistication.",
    Complexity.COMPLEX: "The obvious designs were tried. A more elaborate approach is welcome now.",
}

METRIC_OF_SELF_REPORT = """\
Set "metric" to the final validation value of {metric} that the candidate itself printed, or to null if it printed \
none."""
METRIC_OF_EVALUATOR = """\
Set "metric" to null: the value is measured by the evaluator."""

ANALYSIS_FORMAT = """\
Answer with one JSON object and nothing else. Its schema:
{{"type": "object", "additionalProperties": false, "required": ["is_bug", "summary", "metric"], "properties": \
{{"is_bug": {{"type": "boolean"}}, "summary": {{"type": "string"}}, "metric": {{"type": ["number", "null"]}}}}}}
"is_bug" is true if the run is not valid. {metric}"""

WHOLE_FILES = """\
After the plan, give each file that you write as a fenced block whose first line names its path. This example writes a \
file of two lines (the content is only an illustration):

```text path={artifact}
first line
second line
```

The file ends at the first line that consists of as many backticks as opened it. If the content itself has such lines, \
open and close with more backticks."""

EDITS = """\
To change a few lines of a file that exists already, give an edit instead of the whole file. This example replaces one \
line by two:

<<<<<<< SEARCH {artifact}
second line
=======
second line, changed
third line
>>>>>>> REPLACE

The text after SEARCH must be whole lines that occur exactly once in that file; quote more lines around if needed. \
Several edits apply in their order. Use either the whole file or edits for one path, never both."""

DELETION = """\
To remove a file, write a line of its own:

DELETE notes.txt

Files that you do not mention stay as they are in {base}."""

RETRY = """\
Your last answer to this very question could not be used:
{errors}
Answer again, completely, and mend this."""


def output(head: str, tail: str) -> str:
    """What a run printed. A `tail` means that the middle was cut when the run was logged; the gap is named."""
    return f"{clip(head)}\n[... the middle is cut ...]\n{clip(tail)}" if tail else clip(head)


def clip(text: str) -> str:
    """`text` up to 5,100 characters, else its first and last 2,500 with the gap named."""
    if len(text) <= UNCUT_CHARS:
        return text
    return f"{text[:HEAD_CHARS]}\n[... {len(text) - HEAD_CHARS - TAIL_CHARS} characters cut ...]\n{text[-TAIL_CHARS:]}"


def fenced(text: str, info: str = "") -> str:
    """`text` in a fence that no line of it can close."""
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{ticks}{info}\n{text.removesuffix(chr(10))}\n{ticks}"


def files(named: Mapping[str, str]) -> str:
    """Every file in a fence of its own, in the order of the paths."""
    return "\n\n".join(fenced(named[path], f"path={path}") for path in sorted(named)) or "(no files)"


def section(tag: str, body: str) -> str:
    """`body` between tags, which no heading inside of it can end; "" for an empty body."""
    return f"<{tag}>\n{body.strip()}\n</{tag}>" if body.strip() else ""


def document(sections: Sequence[str]) -> str:
    return "\n\n".join(part for part in sections if part)


def answer_format(artifact: str, *, edits: bool) -> str:
    """How to answer, with one worked example of each form."""
    parts = [WHOLE_FILES.format(artifact=artifact)]
    if edits:
        parts.append(EDITS.format(artifact=artifact))
    parts.append(DELETION.format(base="the parent, or in the starter files for a first draft"))
    return "\n\n".join(parts)


def analysis_format(metric: str, *, self_reported: bool) -> str:
    """The JSON schema of a verdict."""
    wish = METRIC_OF_SELF_REPORT.format(metric=metric) if self_reported else METRIC_OF_EVALUATOR
    return ANALYSIS_FORMAT.format(metric=wish)


def budget(steps: int | None, wall: float | None) -> str:
    """What is left, the wall-clock only as a multiple of 10 %: a finer clock would make every prompt unique."""
    parts = []
    if steps is not None:
        parts.append(f"{steps} step{'s' * (steps != 1)}, this one included")
    if wall is not None:
        parts.append(f"about {10 * round(10 * min(max(wall, 0.0), 1.0))} % of the time")
    return f"Left: {', '.join(parts)}." if parts else ""


def retry(errors: Sequence[str]) -> str:
    return RETRY.format(errors="\n".join(f"- {error}" for error in errors)) if errors else ""
