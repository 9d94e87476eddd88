"""From a request (the flags of scripts/lra_data.py) to a data set on disk: one branch per task and source."""

import dataclasses
import enum
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lra.data import listops, listops_build, needle, recall, retrieval, store, text


class Task(enum.StrEnum):
    """Tasks whose data can be made. The first three are Long Range Arena's."""

    LISTOPS = "listops"
    TEXT = "text"
    RETRIEVAL = "retrieval"
    RECALL = "recall"
    NEEDLE = "needle"


class Profile(enum.StrEnum):
    """Official: the published distribution and sizes. Smoke: small enough for a laptop's CPU."""

    OFFICIAL = "official"
    SMOKE = "smoke"


@dataclasses.dataclass(frozen=True)
class Request:
    """What to make; field names are the flags'. None means the profile's or the source's own value."""

    task: Task
    seed: int = 0
    profile: Profile = Profile.OFFICIAL
    train: int | None = None
    validation: int | None = None
    test: int | None = None
    max_depth: int | None = None
    max_args: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    from_tsv: str | None = None
    aclimdb: str | None = None
    tfds: str | None = None
    jsonl: tuple[str, ...] = ()
    aan: str | None = None
    surrogate: str | None = None
    skip_bad: bool = False
    text: str | None = None
    length: int | None = None
    pairs: int | None = None
    queries: int | None = None
    needles: int | None = None

    def __post_init__(self):
        allowed = {"task", *_FLAGS[self.task]}
        for field in dataclasses.fields(self):
            if field.name not in allowed and getattr(self, field.name) != field.default:
                raise ValueError(f"--{field.name} means nothing for --task={self.task}: leave it out")

    @property
    def command(self) -> str:
        """The command line that repeats this request, without --out."""
        words = ["python", "scripts/lra_data.py", f"--task={self.task}"]
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            if value is True:
                words.append(f"--{field.name}")
            elif value != field.default:
                words.append(f"--{field.name}={','.join(value) if isinstance(value, tuple) else value}")
        return shlex.join(words)

    def chosen(self, *names: str) -> dict[str, int]:
        """The named fields that were given."""
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclasses.dataclass(frozen=True)
class Delivery:
    """What becomes of the rows: a folder `out`, tab-separated files in `tsv`, hashes (`digest`)."""

    out: str | None = None
    digest: bool = False
    rebuild: bool = False
    tsv: str | None = None
    parens: bool = False


_SIZE_FLAGS = ("train", "validation", "test")
_LISTOPS_FLAGS = ("max_depth", "max_args", "min_length", "max_length")
_FLAGS = {
    Task.LISTOPS: ("seed", "profile", "from_tsv", *_SIZE_FLAGS, *_LISTOPS_FLAGS),
    Task.TEXT: ("seed", "aclimdb", "tfds", "jsonl"),
    Task.RETRIEVAL: ("aan", "surrogate", "skip_bad"),
    Task.RECALL: ("seed", "length", "pairs", "queries", *_SIZE_FLAGS),
    Task.NEEDLE: ("seed", "text", "length", "needles", *_SIZE_FLAGS),
}


def make(request: Request, out: Path, rebuild: bool = False) -> store.Dataset:
    """Makes the data set at `out`, or verifies and keeps the one that the same request made there before.

    Errors: ValueError for bad input, or when `out` holds something else and `rebuild` is not set.
    """
    if not rebuild and (out / store.META).is_file():
        dataset = store.open(out)
        if dataset.meta.command == request.command:
            check(dataset)
            return dataset
    _MAKERS[request.task](request, out, rebuild)
    return store.open(out, request.task)


def request_of(values: Mapping[str, Any]) -> Request:
    """The request of flags, by the names of its fields."""
    chosen = {field.name: values[field.name] for field in dataclasses.fields(Request)}
    return Request(**chosen | {"jsonl": tuple(chosen["jsonl"])})


def delivery_of(values: Mapping[str, Any]) -> Delivery:
    """The delivery of flags, by the names of its fields."""
    return Delivery(**{field.name: values[field.name] for field in dataclasses.fields(Delivery)})


def deliver(request: Request, delivery: Delivery) -> list[str]:
    """Makes what was asked for; returns the lines to print. Errors: ValueError as `make` and `digests`."""
    if delivery.out is None:
        if not delivery.digest:
            raise ValueError("--out=DIR is needed (or --digest, to print hashes alone)")
        return [digest_line(digests(request))]
    dataset = make(request, Path(delivery.out), delivery.rebuild)
    if delivery.tsv is not None:
        listops_build.write_tsv(dataset, Path(delivery.tsv), delivery.parens)
    return [summary(dataset), *([digest_line(digests_of(dataset))] if delivery.digest else [])]


def checked(folder: str) -> str:
    """Verifies the data set in `folder`; returns what it is. Errors: ValueError naming the split."""
    dataset = store.open(folder)
    check(dataset)
    return f"{summary(dataset)}: counts and hashes agree"


def digests(request: Request) -> dict[str, str]:
    """The hash of each split's rows, nothing written. Errors: ValueError for tasks that are read, not generated."""
    sizes = _sizes(request)
    match request.task:
        case Task.LISTOPS if request.from_tsv is None:
            return listops_build.digests(request.seed, sizes, _listops_params(request))
        case Task.RECALL:
            return recall.digests(request.seed, sizes, _recall_params(request))
        case Task.NEEDLE:
            source = needle.read_text(_source(request, "text"))
            return needle.digests(source, request.seed, sizes, _needle_params(request))
        case _:
            raise ValueError("--out=DIR is needed: only generated data have a digest without being written")


def digests_of(dataset: store.Dataset) -> Mapping[str, str]:
    """The hash of each split's rows: canonical text where the task defines one, the stored values otherwise."""
    return dataset.meta.details.get("canonical_sha256", dataset.meta.sha256)


def check(dataset: store.Dataset) -> None:
    """Verifies stored values, counts and, for ListOps, the canonical text. Errors: ValueError naming the split."""
    dataset.verify()
    if dataset.meta.task == Task.LISTOPS:
        listops_build.check(dataset)


def summary(dataset: store.Dataset) -> str:
    """One line: what lies where."""
    counts = ", ".join(f"{name} {dataset.meta.counts[name]:,}" for name in dataset.splits)
    return f"{dataset.meta.label}: {counts} rows in {dataset.folder}"


def _listops(request: Request, out: Path, rebuild: bool) -> None:
    if request.from_tsv is not None:
        listops_build.from_tsv(Path(request.from_tsv), out, request.command, rebuild)
        return
    listops_build.build(out, request.seed, _sizes(request), _listops_params(request), request.command, rebuild)


def _text(request: Request, out: Path, rebuild: bool) -> None:
    given = [name for name in ("aclimdb", "tfds", "jsonl") if getattr(request, name) not in (None, ())]
    if len(given) != 1:
        raise ValueError(
            "Text needs one source: --aclimdb=FOLDER, --tfds=DATA_DIR (--tfds= for the default folder), "
            "or --jsonl=TRAIN,TEST"
        )
    if request.aclimdb is not None:
        source = "aclImdb"
        train, test = (text.read_aclimdb(Path(request.aclimdb), split) for split in ("train", "test"))
    elif request.tfds is not None:
        source = "tfds imdb_reviews"
        train, test = (text.read_tfds(split, request.tfds or None) for split in ("train", "test"))
    else:
        if len(request.jsonl) != 2:
            raise ValueError(f"--jsonl={','.join(request.jsonl)}: two files expected, TRAIN,TEST")
        source = text.SAMPLES
        train, test = (text.read_jsonl(Path(path)) for path in request.jsonl)
    text.build(out, source, train, test, request.seed, request.command, rebuild)


def _retrieval(request: Request, out: Path, rebuild: bool) -> None:
    if (request.aan is None) == (request.surrogate is None):
        raise ValueError(
            "Retrieval needs one source: --aan=FOLDER with new_aan_pairs.{train,eval,test}.tsv, "
            "or --surrogate=FOLDER with aan_docs.jsonl.gz and aan_pairs.tsv"
        )
    if request.aan is not None:
        retrieval.build_published(out, Path(request.aan), request.command, rebuild, request.skip_bad)
    else:
        retrieval.build_surrogate(out, Path(request.surrogate), request.command, rebuild, request.skip_bad)


def _recall(request: Request, out: Path, rebuild: bool) -> None:
    recall.build(out, request.seed, _sizes(request), _recall_params(request), request.command, rebuild)


def _needle(request: Request, out: Path, rebuild: bool) -> None:
    path = _source(request, "text")
    needle.build(out, path, request.seed, _sizes(request), _needle_params(request), request.command, rebuild)


_MAKERS = {
    Task.LISTOPS: _listops,
    Task.TEXT: _text,
    Task.RETRIEVAL: _retrieval,
    Task.RECALL: _recall,
    Task.NEEDLE: _needle,
}


def _sizes(request: Request) -> dict[str, int]:
    defaults = {
        Task.LISTOPS: listops_build.SMOKE_SIZES if request.profile is Profile.SMOKE else listops_build.OFFICIAL_SIZES,
        Task.RECALL: recall.SIZES,
        Task.NEEDLE: needle.SIZES,
    }.get(request.task, {})
    sizes = defaults | request.chosen(*_SIZE_FLAGS)
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"--{name}={size}: choose 1 or more rows")
    return sizes


def _listops_params(request: Request) -> listops.Params:
    profile = listops.SMOKE if request.profile is Profile.SMOKE else listops.OFFICIAL
    return dataclasses.replace(profile, **request.chosen(*_LISTOPS_FLAGS))


def _recall_params(request: Request) -> recall.Params:
    return recall.Params(**request.chosen("length", "pairs", "queries"))


def _needle_params(request: Request) -> needle.Params:
    return needle.Params(**request.chosen("length", "needles"))


def _source(request: Request, flag: str) -> Path:
    value = getattr(request, flag)
    if value is None:
        raise ValueError(f"--{flag}=FILE is needed for --task={request.task}: a text file or .jsonl with `text`")
    return Path(value)


def digest_line(hashes: Mapping[str, str]) -> str:
    """The hashes as one JSON object on one line."""
    return json.dumps(dict(hashes))
