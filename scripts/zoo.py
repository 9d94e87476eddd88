"""Shows the published architectures, as printed in the paper and as built here.

python scripts/zoo.py                                                       all 63 scaled models
python scripts/zoo.py --name=AIRAformer-D --variant=stretched --scale=1B --json
python scripts/zoo.py --check                    patterns, counts, steps, ratios and sizes as printed against each other
"""

import json

from absl import flags

from aira_jax.compose import dims, zoo, zoo_contradictions
from aira_jax.core import cli

_NAME = flags.DEFINE_string("name", None, "One architecture; all of them if left out.")
_VARIANT = flags.DEFINE_string("variant", None, "stacked or stretched; all if left out.")
_SCALE = flags.DEFINE_list("scale", list(dims.SCALES), "Scales, separated by commas; base is the small pattern.")
_CHECK = flags.DEFINE_bool("check", False, "Print where the paper contradicts itself, and the repairs.")
_JSON = flags.DEFINE_bool("json", False, "Print one JSON array.")


def main(_):
    if _CHECK.value:
        zoo.check()
        print(*zoo_contradictions.lines(), sep="\n")
        return
    models = [zoo.get(name, variant=variant, scale=scale) for scale in _SCALE.value for name, variant in _wanted(scale)]
    if _JSON.value:
        print(json.dumps([model.to_json() for model in models]))
        return
    for model in models:
        counts = "/".join(map(str, model.counts.values()))
        size = "" if model.params is None else f"{model.params.non_embedding / 1e9:.3f}B"
        remark = "" if model.agrees else f"   (printed: {model.printed})"
        print(f"{model.scale:5} {model.key:26} {len(model.build):3} {counts:9} {size:7} {model.build.source}{remark}")


def _wanted(scale):
    if _NAME.value is None and _VARIANT.value is not None:
        raise ValueError(f"--variant={_VARIANT.value} needs --name: one of {', '.join(zoo.names())}")
    if _NAME.value is None:
        return [(name, variant) for name, variant in zoo.models() if scale != zoo.BASE or zoo.has_base(name)]
    variants = zoo.variants(_NAME.value) if _VARIANT.value is None else (_VARIANT.value,)
    return [(_NAME.value, variant) for variant in variants]


if __name__ == "__main__":
    cli.run(main)
