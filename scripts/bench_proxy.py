"""Measures the proxy evaluator. Give it one free core: `taskset -c 0 python scripts/bench_proxy.py`.

python scripts/bench_proxy.py --update                        every engine at three shapes; the winners become `auto`
python scripts/bench_proxy.py --peer                          12 epochs of recall at paper shapes against mad-lab's band
python scripts/bench_proxy.py --correlate=24 --low=demo --high=cpu-s --eval_seeds=0,1
"""

from absl import flags

from aira_jax import patterns
from aira_jax.core import cli

_SHAPES = ["smoke:in-context-recall", "cpu-s:in-context-recall", "paper:in-context-recall"]
_PATTERN = flags.DEFINE_string("pattern", "8(A-M)", "The arrangement that is timed.")
_SHAPE = flags.DEFINE_list("shapes", _SHAPES, "What is timed, as preset:task.")
_ENGINES = flags.DEFINE_list("engines", [], "Layer programs, the first one is the reference; default: all.")
_MICROS = flags.DEFINE_list("micros", ["8", "32"], "Rows that go through the model at a time.")
_UPDATE = flags.DEFINE_bool("update", False, "Write the winners into the table that engine=auto reads.")
_PEER = flags.DEFINE_bool("peer", False, "Run the 12-epoch comparison with mad-lab instead.")
_CORRELATE = flags.DEFINE_integer("correlate", 0, "Correlate two fidelities over this many patterns instead.")
_LOW = flags.DEFINE_string("low", "demo", "The cheap fidelity.")
_HIGH = flags.DEFINE_string("high", "cpu-s", "The fidelity that it stands for.")
_SEEDS = flags.DEFINE_list("eval_seeds", ["0"], "Evaluator seeds of the cheap fidelity.")
_CACHE = flags.DEFINE_string("cache_dir", None, "Results and programs; default: $AIRA_JAX_CACHE or ~/.cache/aira_jax.")


def main(_):
    from aira_jax.bench import proxies as bench
    from aira_jax.proxies import fidelity
    from aira_jax.proxies.engine_table import describe
    from aira_jax.proxies.engines import Engine
    from kernels_pallas.bench import provenance

    print(f"{provenance.hardware()}; one 2048^3 float32 product: {bench.matmul_gflops():.0f} GFLOP/s", flush=True)
    if _PEER.value:
        return _peer(bench)
    if _CORRELATE.value:
        presets, seeds = (fidelity.get(_LOW.value), fidelity.get(_HIGH.value)), [int(s) for s in _SEEDS.value]
        for line in bench.correlate(_CORRELATE.value, *presets, seeds, _CACHE.value):
            print(line, flush=True)
        return 0
    measured, pattern = [], patterns.parse(_PATTERN.value)
    print(f"{'shape':34} {'engine':16} {'compile s':>9} {'s/step':>8} {'GFLOP/s':>8}  agrees", flush=True)
    for name, _, task in (shape.partition(":") for shape in _SHAPE.value):
        engines, micros = [Engine(e) for e in _ENGINES.value or Engine], [int(m) for m in _MICROS.value]
        for arm in bench.arms(pattern, fidelity.get(name), task, engines, micros):
            measured.append(arm)
            figures = f"{arm.compile_s:9.1f} {arm.step_s:8.3f} {arm.gflops:8.1f}  {'yes' if arm.agrees else 'NO'}"
            print(f"{name + ' ' + task:34} {describe(arm.setup):16} {figures}", flush=True)
    if _UPDATE.value:
        bench.store_winners(measured)
    return 0 if all(arm.agrees for arm in measured) else 1


def _peer(bench):
    result, (low, high) = bench.peer(_CACHE.value), bench.PEER_BAND
    seconds = result.train_s + result.compile_s
    print(f"macro {result.macro:.3f} (band {low} to {high}), {seconds:.0f} s (mad-lab: {bench.PEER_SECONDS:.0f} s)")
    return 0 if low <= result.macro <= high else 1


if __name__ == "__main__":
    cli.run(main)
