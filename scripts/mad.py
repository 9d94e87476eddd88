"""Makes the rows of one MAD task.

python scripts/mad.py --task=in-context-recall --digest             four sha256 digests
python scripts/mad.py --task=selective-copying --rows=2             the first rows, for reading
python scripts/mad.py --task=noisy-in-context-recall --field=frac_noise=0.4 --out=rows.npz
"""

from pathlib import Path

from absl import flags

from aira_jax.core import cli
from aira_jax.proxies import mad

_TASK = flags.DEFINE_string("task", None, f"One of {', '.join(mad.TASKS)}.", required=True)
_SEED = flags.DEFINE_integer("seed", mad.DEFAULT_SEED, "Seed of the rows.")
_TRAIN = flags.DEFINE_integer("train", 800, "Number of train rows.")
_TEST = flags.DEFINE_integer("test", 1280, "Number of test rows; they continue the stream of the train rows.")
_FIELD = flags.DEFINE_multi_string("field", [], "A field other than published, as name=number. May be repeated.")
_DIGEST = flags.DEFINE_bool("digest", False, "Print sha256 of the int64 little-endian arrays.")
_ROWS = flags.DEFINE_integer(
    "rows", 0, "Print this many train rows: inputs, targets, test-type targets.", lower_bound=0
)
_OUT = flags.DEFINE_string("out", None, "Write all arrays to this .npz file.")


def main(_argv):
    fields = dict(_parse_field(_TASK.value, text) for text in _FIELD.value)
    data = mad.make(_TASK.value, _TRAIN.value, _TEST.value, _SEED.value, **fields)
    if _DIGEST.value:
        for name, digest in zip(("X train", "Y train", "X test", "Y test"), mad.digests(data), strict=True):
            print(name, digest)
    for row in range(min(_ROWS.value, len(data.train))):
        for name, part in vars(data.train[row]).items():
            print(f"{name:5} {' '.join(map(str, part))}")
    if _OUT.value:
        try:
            mad.save(Path(_OUT.value), data)
        except OSError as error:
            raise ValueError(f"--out={_OUT.value}: {error.strerror}") from error
    if not (_DIGEST.value or _ROWS.value or _OUT.value):
        print(f"{_TASK.value}: train {data.train.x.shape}, test {data.test.x.shape}, vocab {data.vocab}")


def _parse_field(task: str, text: str):
    """`name=number` with the number's type taken from the published value."""
    name, _, value = text.partition("=")
    mad.resolve(task, {name: 0})
    published = mad.fields_of(task)[name]
    try:
        return name, type(published)(value)
    except ValueError:
        raise ValueError(f"--field={text}: {name} needs a number like {published}, got {value!r}") from None


if __name__ == "__main__":
    cli.run(main)
