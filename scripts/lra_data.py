"""Makes the data of a long-range task, or checks a data set.

python scripts/lra_data.py --task=listops --out=data/listops                      96,000 / 2,000 / 2,000 expressions
python scripts/lra_data.py --task=listops --profile=smoke --digest                hashes alone, nothing written
python scripts/lra_data.py --task=text --aclimdb=aclImdb --out=data/text          or --tfds=, or --jsonl=TRAIN,TEST
python scripts/lra_data.py --task=retrieval --aan=lra_release/tsv_data --out=D    or --surrogate=FOLDER
python scripts/lra_data.py --task=recall --length=2048 --pairs=64 --out=D         associative recall, beyond LRA
python scripts/lra_data.py --task=needle --text=FILE --length=4096 --out=D        facts hidden in a text of yours
python scripts/lra_data.py --check=D                                              counts, hashes, rows in two splits

The same command on a finished folder verifies and keeps it. --digest prints one JSON object of hashes as last line.
"""

from absl import flags

from aira_jax.core import cli
from lra.data import build, overlap, store

_TASK = flags.DEFINE_enum_class("task", None, build.Task, "Whose data to make.")
_CHECK = flags.DEFINE_string("check", None, "Folder to verify; nothing is made.")
flags.DEFINE_string("out", None, "Folder to write; made complete or not at all.")
flags.DEFINE_bool("digest", False, "Print the hash of each split; without --out nothing is written.")
flags.DEFINE_bool("rebuild", False, "Replace the data set that --out holds.")
flags.DEFINE_string("tsv", None, "listops: folder for basic_{train,val,test}.tsv, written in addition.")
flags.DEFINE_bool("parens", False, "listops: --tsv in the published form with parentheses.")
flags.DEFINE_enum_class("profile", build.Profile.OFFICIAL, build.Profile, "listops: distribution and sizes.")
flags.DEFINE_integer("seed", 0, "Seed of generated rows, and of the carving of validation (text).")
flags.DEFINE_bool("skip_bad", False, "retrieval: count and skip malformed rows instead of stopping.")
flags.DEFINE_list("jsonl", [], "text: TRAIN,TEST files of JSON lines with id, label, text (.gz too).")
for _name, _help in {
    "from_tsv": "listops: folder with basic_{train,val,test}.tsv to read.",
    "aclimdb": "text: the unpacked aclImdb folder.",
    "tfds": "text: data_dir of a prepared imdb_reviews; empty for the default one.",
    "aan": "retrieval: folder with new_aan_pairs.{train,eval,test}.tsv.",
    "surrogate": "retrieval: folder with aan_docs.jsonl.gz and aan_pairs.tsv.",
    "text": "needle: the text to hide facts in.",
}.items():
    flags.DEFINE_string(_name, None, _help)
for _names, _help in {
    ("train", "validation", "test"): "Rows of this split, for generated tasks.",
    ("max_depth", "max_args", "min_length", "max_length"): "listops: shape of the expressions; lengths are strict.",
    ("length", "pairs", "queries", "needles"): "recall, needle: shape of a row.",
}.items():
    for _name in _names:
        flags.DEFINE_integer(_name, None, _help)


def main(_):
    if _CHECK.value is not None:
        return print(build.checked(_CHECK.value), *overlap.shared_rows(store.open(_CHECK.value)), sep="\n")
    if _TASK.value is None:
        raise ValueError(f"--task is needed: one of {', '.join(build.Task)} (or --check=DIR)")
    values = flags.FLAGS.flag_values_dict()
    print(*build.deliver(build.request_of(values), build.delivery_of(values)), sep="\n")


if __name__ == "__main__":
    cli.run(main)
