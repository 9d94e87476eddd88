"""Brings a small base pattern to 350M, 1B and 3B parameters, with its size, FLOPs and training steps.

python scripts/extrapolate.py --pattern='2A-5M-2A-3M-A-3M' --method=stretch --space=2
python scripts/extrapolate.py --pattern='2A-4M' --method=stack --space=2 --json

Stack bases of few layers (6), stretch longer ones (16).
"""

import json
import sys
import warnings

from absl import flags

from aira_jax.compose import dims, extrapolate
from aira_jax.core import cli
from aira_jax.patterns import parse

_PATTERN = flags.DEFINE_string("pattern", None, "The base pattern.", required=True)
_METHOD = flags.DEFINE_string("method", None, "stretch or stack.", required=True)
_SPACE = flags.DEFINE_string("space", None, "2 (A, M), 3 (A, M, Mb) or tokens, A+M+D; sets MLP widths.", required=True)
_SCALE = flags.DEFINE_list("scale", list(dims.SCALES), "Scales, separated by commas.")
_ROUNDING = flags.DEFINE_string("rounding", "ceil", "Of stretched runs: ceil, nearest or floor.")
_REMAINDER = flags.DEFINE_string("remainder", "nearest", "Of a stack: ceil, nearest, floor or prefix.")
_JSON = flags.DEFINE_bool("json", False, "Print one JSON object: base, method, space, scales.")


def main(_):
    warnings.simplefilter("ignore", extrapolate.ExtrapolationWarning)
    base, space = parse(_PATTERN.value), dims.read_space(_SPACE.value)
    fits = {scale: _fit(base, scale, space) for scale in _SCALE.value}
    for note in dict.fromkeys(note for fit in fits.values() for note in fit.warnings):
        print(f"warning: {note}", file=sys.stderr)
    if _JSON.value:
        scales = {scale: fit.to_json() for scale, fit in fits.items()}
        print(json.dumps({"base": base.canonical(), "method": _METHOD.value, "space": space, "scales": scales}))
        return
    for scale, fit in fits.items():
        facts = fit.to_json()
        print(f"{scale:5} {facts['pretty']}")
        counts = f"{'/'.join(facts['counts'])} {'/'.join(map(str, facts['counts'].values()))}"
        print(
            f"      {facts['layers']} layers ({counts}), "
            f"{facts['non_embedding']:,} non-embedding parameters "
            f"({facts['deviation']:+.1%} of the target), {facts['total']:,} in total"
        )
        print(f"      {facts['flops_per_token']:,} FLOPs per token; steps by budget {facts['steps']}")


def _fit(base, scale, space):
    return extrapolate.fit(
        base, scale, _METHOD.value, space=space, rounding=_ROUNDING.value, remainder=_REMAINDER.value
    )


if __name__ == "__main__":
    cli.run(main)
