"""Writes a corpus as shards of token windows, which pretraining reads at random (extra `data`).

python scripts/corpus_shards.py --path=FILE_OR_FOLDER --out=FOLDER --length=8192 --tokenizer=llama3:PATH
python scripts/corpus_shards.py --path=stories.jsonl.gz --out=FOLDER --length=256 --tokenizer=bpe:4096

Run it again after an interruption: whole shards stay. Train with data.kind=shards and data.path=FOLDER. Documents whose
sha256 is 0 modulo --held_out_every are held out for validation, whole.
"""

from pathlib import Path

from absl import flags

from aira_jax.core import cli

_PATH = flags.DEFINE_string("path", None, "File or folder: .jsonl, .txt (.gz, .zst) or .parquet.", required=True)
_OUT = flags.DEFINE_string("out", None, "Folder of the shards.", required=True)
_LENGTH = flags.DEFINE_integer(
    "length", 8192, "Tokens of a window; one more is stored, the last target.", lower_bound=1
)
_TOKENIZER = flags.DEFINE_string("tokenizer", "bpe:8192", "byte, bpe:N, llama3:PATH or hf:PATH.")
_FIELD = flags.DEFINE_string("field", "text", "JSON field or column of the text.")
_HELD_OUT = flags.DEFINE_integer("held_out_every", 1000, "One document in this many is held out.", lower_bound=2)
_WINDOWS = flags.DEFINE_integer("windows_per_shard", 4096, "Windows of a shard.", lower_bound=1)


def main(_):
    from aira_jax.pretrain.data import shards
    from aira_jax.pretrain.data.settings import DataConfig, Kind

    data = DataConfig(
        Kind.TEXT, _PATH.value, tokenizer=_TOKENIZER.value, field=_FIELD.value, held_out_every=_HELD_OUT.value
    )
    manifest = shards.write(
        data, Path(_OUT.value), length=_LENGTH.value, windows_per_shard=_WINDOWS.value, on_shard=print
    )
    for side in ("train", "validation"):
        facts = manifest[side]
        print(
            f"{side}: {facts['documents']:,} documents, {facts['tokens']:,} tokens, {sum(facts['windows']):,} windows "
            f"in {facts['shards']} shards"
        )


if __name__ == "__main__":
    cli.run(main)
