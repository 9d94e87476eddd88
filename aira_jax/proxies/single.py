"""One pattern on one proxy, both by name, as a command line asks for it: no option is passed over in silence."""

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from aira_jax import patterns
from aira_jax.core import choices
from aira_jax.proxies import corpora, evaluator, fidelity, text
from aira_jax.proxies.corpora.tokenizers import RANKS_VARIABLE
from aira_jax.proxies.result import ProxyResult
from aira_jax.proxies.text_fidelity import MAD, PROXIES

_LOG = logging.getLogger(__name__)


def evaluate(
    pattern: patterns.Pattern | str,
    *,
    proxy: str,
    preset: str,
    tasks: Sequence[str] | None = None,
    reading: Mapping[str, Any] | None = None,
    **options: Any,
) -> ProxyResult:
    """Trains and scores `pattern`, or finds the result in the cache.

    Args:
      tasks: of MAD; None: those of the preset.
      reading: of the text proxies: corpus (a path), tokenizer, gpt2_ranks, field, separator, allow_short, with the
        defaults of `corpora.open`; the ranks are those of $AIRA_JAX_GPT2, the corpus the built-in stories.
      options: data_seed, eval_seed, split, cache_dir, engine, as in `evaluator.evaluate`.
    Raises ValueError for what does not belong to the proxy, and as the evaluator does.
    """
    given = {name: value for name, value in (reading or {}).items() if value is not None}
    if choices.among("proxy", proxy, PROXIES) == MAD:
        if given:
            flags = ", ".join(f"--{name}" for name in given)
            raise ValueError(f"{flags}: for text only; add --proxy=babistories or --proxy=dclm, or leave it out")
        return evaluator.evaluate(pattern, preset=preset, tasks=tasks, **options)
    if tasks:
        raise ValueError(f"--tasks={','.join(tasks)} chooses among the tasks of {MAD}: leave it out with {proxy}")
    return _on_text(pattern, proxy, preset, given, options)


def signal(proxy: str, preset: str) -> fidelity.Signal:
    """What tells patterns apart at a preset; the text proxies have their metric, which is a loss."""
    return fidelity.get(preset).signal if proxy == MAD else fidelity.Signal.LOSS


def _on_text(pattern, proxy: str, preset: str, reading: dict[str, Any], options: Mapping[str, Any]) -> ProxyResult:
    path = reading.pop("corpus", None)
    if path is None:
        _LOG.warning("no --corpus: corpus: builtin (generated stories, not %s)", proxy)
    short = corpora.Short.ALLOW if reading.pop("allow_short", False) else corpora.Short.REFUSE
    ranks = reading.pop("gpt2_ranks", None) or os.environ.get(RANKS_VARIABLE)
    return text.evaluate(pattern, kind=proxy, preset=preset, path=path, ranks=ranks, short=short, **reading, **options)
