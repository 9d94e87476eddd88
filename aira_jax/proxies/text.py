"""Scores a pattern on a text proxy: the corpus becomes windows, the evaluator of all proxies does the rest.

result = evaluate("8(A-M)", kind="babistories", preset="cpu-s", path="stories.jsonl.gz")
result.loss, result.bits_per_byte             # nats per token, bits per byte of text
result.corpus["corpus"]                       # "builtin" where no path was given
"""

from pathlib import Path
from typing import Any

from aira_jax import patterns
from aira_jax.proxies import cache, corpora, evaluator, text_fidelity
from aira_jax.proxies.result import ProxyResult, Split
from aira_jax.proxies.text_fidelity import Kind, TextPreset


def evaluate(
    pattern: patterns.Pattern | str,
    *,
    kind: Kind | str,
    preset: TextPreset | str,
    path: Path | str | None = None,
    data_seed: int = corpora.DEFAULT_SEED,
    eval_seed: int = 0,
    split: Split | str = Split.TEST,
    cache_dir: Path | str | None = None,
    engine: str = "auto",
    reuse_scores: bool | None = None,
    **reading: Any,
) -> ProxyResult:
    """Trains `pattern` on the train windows of a corpus and scores it on its test (or validation) windows.

    `path` None: the built-in corpus. `data_seed` decides which documents are for testing. `reading`: tokenizer, ranks,
    field, separator, short, as in `corpora.open`. Windows and results are kept in `cache_dir`. Raises ValueError.
    """
    pattern = patterns.parse(pattern) if isinstance(pattern, str) else pattern
    preset = text_fidelity.get(kind, preset) if isinstance(preset, str) else preset
    directory = Path(cache_dir) if cache_dir is not None else cache.default_directory()
    data = corpora.open(kind, path, preset=preset, seed=data_seed, cache_dir=directory, **reading)
    return evaluator.evaluate(
        pattern,
        preset=preset,
        datasets={preset.proxy: data},
        data_seed=data_seed,
        eval_seed=eval_seed,
        split=split,
        cache_dir=directory,
        engine=engine,
        reuse_scores=reuse_scores,
    )
