"""Text for the proxies BabiStories and DCLM: one way from any corpus to windows of tokens.

    data = corpora.open("babistories", "stories.jsonl.gz", preset="cpu-s")
    data.train.x, data.train.y, data.corpus["windows"]

Documents are read, made distinct, put into an order that a seed decides and split before they are cut into windows, so
that none has a part on both sides. Without a path the built-in stories are used, and the result is labelled `builtin`.
Nothing is downloaded.
"""

from pathlib import Path

from aira_jax.proxies import text_fidelity
from aira_jax.proxies.corpora import documents, readers, store, tokenizers, windows
from aira_jax.proxies.corpora.documents import BUILTIN as BUILTIN
from aira_jax.proxies.corpora.windows import CorpusTooSmall as CorpusTooSmall
from aira_jax.proxies.corpora.windows import Short as Short
from aira_jax.proxies.corpora.windows import TextDataset as TextDataset
from aira_jax.proxies.text_fidelity import Kind, TextPreset

DEFAULT_SEED = 12345


def open(
    kind: Kind | str,
    path: Path | str | None = None,
    tokenizer: str | None = None,
    *,
    preset: TextPreset | str,
    seed: int = DEFAULT_SEED,
    ranks: Path | str | None = None,
    field: str = "text",
    separator: str = readers.SEPARATOR,
    short: Short = Short.REFUSE,
    cache_dir: Path | str | None = None,
) -> TextDataset:
    """The windows of a preset of `kind` from the corpus at `path` (None: the built-in one).

    `tokenizer` None: the preset's. `ranks`: GPT-2's vocabulary, for the tokenizer gpt2. `seed` decides the order of the
    documents and with it the split. With `cache_dir` the windows and their manifest are kept there. Raises
    CorpusTooSmall, which names the presets that fit, and ValueError for anything else that is wrong with the input.
    """
    preset = text_fidelity.get(kind, preset) if isinstance(preset, str) else preset
    if preset.kind != kind:
        raise ValueError(f"preset {preset.name} belongs to {preset.kind}, not to {kind}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    tokenizer = tokenizers.check(preset.tokenizer if tokenizer is None else tokenizer)
    place = None
    if cache_dir is not None:
        recipe = {
            "proxy": preset.proxy,
            "files": documents.identity(path, field=field, separator=separator),
            "reading": [field, separator],
            "tokenizer": [tokenizer, store.ranks_digest(ranks) if tokenizer == "gpt2" else None],
            "windows": [preset.length, preset.train, preset.test, short],
            "seed": seed,
        }
        place = store.Place.of(Path(cache_dir), recipe)
        kept = place.read()
        if kept is not None:
            return kept
    found = documents.collect(path, field=field, separator=separator, seed=seed)
    data, manifest = windows.build(found, preset, tokenizer, ranks=ranks, seed=seed, short=short)
    if place is not None:
        place.write(data, manifest)
    return data
