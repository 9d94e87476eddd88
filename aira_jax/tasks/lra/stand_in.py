"""Generated stand-ins for data that nobody may ship: reviews, papers that cite each other, prose.

They make the smoke profile run anywhere. Whatever is made from them is marked as a surrogate and labelled "stand-in".
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from aira_jax.proxies.corpora import stories

SEED = 0
LABELS = {
    "imdb": "generated reviews (stand-in for IMDB)",
    "aan": "generated papers (stand-in for AAN)",
    "prose": "needles in generated stories (stand-in for real text)",
}
PROSE_BYTES = 400_000
_TRAIN_REVIEWS, _TEST_REVIEWS, _PAPERS = 2_000, 500, 240
_PAIRS = {"train": 1_600, "validation": 200, "test": 200}

_SUBJECTS = ("The plot", "The acting", "The camera", "Her voice", "The ending", "The music", "His humour", "The pace")
_VERBS = ("is", "was", "felt", "seemed", "stays", "looks")
_WORDS = (
    ("dull", "clumsy", "tiresome", "hollow", "noisy", "lifeless", "stale", "shallow"),
    ("lovely", "tender", "gripping", "clever", "graceful", "moving", "fresh", "honest"),
)
_FILLERS = (
    "We saw it on a rainy evening.", "It runs for two hours.", "My neighbour lent me the disc.",
    "The cinema was half empty.", "It was shot in the mountains.", "A sequel has been announced.",
)  # fmt: skip
_SYLLABLES = (
    "ba", "cor", "del", "fim", "gra", "hul", "jo", "kep", "lin", "mos", "nar", "pel", "qui", "rud", "sta", "ven",
)  # fmt: skip


def write(kind: str, folder: Path) -> dict:
    """Writes the raw files of a kind (imdb, aan, prose); returns the flags of scripts/lra_data.py that read them."""
    return {"imdb": _reviews, "aan": _papers, "prose": _prose}[kind](folder)


def _reviews(folder: Path) -> dict:
    rng, files = random.Random(SEED), []
    for split, count in (("train", _TRAIN_REVIEWS), ("test", _TEST_REVIEWS)):
        rows = [{"id": f"{split}/{i}", "label": i % 2, "text": _review(rng, i % 2)} for i in range(count)]
        files.append(_json_lines(folder / f"imdb_{split}.jsonl", rows))
    return {"jsonl": tuple(map(str, files))}


def _review(rng: random.Random, label: int) -> str:
    """Four sentences of opinion, three of which agree with the label, among others."""
    opinions = [f"{_pick(rng, _SUBJECTS)} {_pick(rng, _VERBS)} {_pick(rng, _WORDS[label])}." for _ in range(3)]
    opinions.append(f"{_pick(rng, _SUBJECTS)} {_pick(rng, _VERBS)} {_pick(rng, _WORDS[1 - label])}.")
    return " ".join(_shuffled(rng, [*opinions, *(_pick(rng, _FILLERS) for _ in range(4))]))


def _papers(folder: Path) -> dict:
    rng = random.Random(SEED)
    topics = [[_term(rng) for _ in range(12)] for _ in range(_PAPERS // 12)]
    papers = [
        {"id": f"P{i:04d}", "title": _pick(rng, topics[i % len(topics)]), "text": _paper(rng, topics[i % len(topics)])}
        for i in range(_PAPERS)
    ]
    _json_lines(folder / "aan_docs.jsonl", papers)
    lines = ["split\tlabel\tid1\tid2"]
    for split, count in _PAIRS.items():
        lines += [f"{split}\t{i % 2}\t{a}\t{b}" for i in range(count) for a, b in [_pair(rng, i % 2, len(topics))]]
    (folder / "aan_pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"surrogate": str(folder)}


def _paper(rng: random.Random, topic: Sequence[str]) -> str:
    """600 to 900 bytes about the terms of a topic."""
    words = [_pick(rng, topic) if rng.random() < 0.4 else _pick(rng, _FILLERS) for _ in range(45)]
    return " ".join(words)


def _pair(rng: random.Random, label: int, topics: int) -> tuple[str, str]:
    """Two papers, of one topic if and only if the label is 1."""
    first = int(rng.random() * _PAPERS)
    step = topics * (1 + int(rng.random() * (_PAPERS // topics - 1)))
    second = (first + step + (0 if label else 1 + int(rng.random() * (topics - 1)))) % _PAPERS
    return f"P{first:04d}", f"P{second:04d}"


def _prose(folder: Path) -> dict:
    path = folder / "stories.txt"
    path.write_text("\n".join(stories.stories(PROSE_BYTES, SEED)), encoding="utf-8")
    return {"text": str(path)}


def _term(rng: random.Random) -> str:
    return "".join(_pick(rng, _SYLLABLES) for _ in range(3))


def _shuffled(rng: random.Random, parts: list[str]) -> list[str]:
    return [part for _, part in sorted((rng.random(), part) for part in parts)]


def _pick(rng: random.Random, options: Sequence[str]) -> str:
    return options[int(rng.random() * len(options))]  # random() alone is the same in every version of Python


def _json_lines(path: Path, rows: Sequence[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
