"""What a pretraining would need on H200s, from a machine that has none: memory, messages, floors, hours, dollars.

    python scripts/dryrun.py --config=configs/pretrain.py:1b,arch=airahybrid_d_str --devices=16 --hosts=2
    python scripts/dryrun.py --config=configs/pretrain.py:350m --devices=8 --price=3 --json

The real step is compiled for the real mesh, and nothing runs; no data are read. With the extra h200 (`make h200`) the
compiler for Hopper GPUs speaks; else the step is lowered for CPUs, attention as plain einsums, and the report says so.
--devices counts the GPUs of all hosts. --json prints one line for programs.

Exit codes: 0 done, 1 defect, 2 bad input.
"""

import json
import logging
from pathlib import Path

from absl import flags

from aira_jax.core import cli, config_flag

_CONFIG = config_flag.define(Path(__file__).parents[1] / "configs" / "pretrain.py")
_DEVICES = flags.DEFINE_integer("devices", 8, "GPUs of all hosts.", lower_bound=1)
_HOSTS = flags.DEFINE_integer("hosts", None, "Machines they sit in; by default 8 GPUs a machine.", lower_bound=1)
_COMPILER = flags.DEFINE_enum("compiler", "auto", ["auto", "h200", "cpu"], "auto: h200 where its extra is installed.")
_PRICE = flags.DEFINE_float("price", None, "Dollars of one GPU for an hour.", lower_bound=0.0)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON line instead of words.")


def main(_):
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", _DEVICES.value)
    from aira_jax.h200 import Cluster
    from aira_jax.pretrain.dryrun import Target, available, dry_run
    from aira_jax.pretrain.settings import Settings

    logging.getLogger("absl").setLevel(logging.WARNING)
    hosts = _HOSTS.value or -(-_DEVICES.value // 8)
    if _DEVICES.value % hosts:
        raise ValueError(f"--devices={_DEVICES.value} GPUs cannot be split evenly over --hosts={hosts}")
    target = available() if _COMPILER.value == "auto" else Target(_COMPILER.value)
    report = dry_run(Settings.of(_CONFIG.value), Cluster("H200", hosts, _DEVICES.value // hosts), target)
    if _PRICE.value is not None:
        hours = report["hours_at_mfu"].items()
        report["dollars_at_mfu"] = {share: time * _DEVICES.value * _PRICE.value for share, time in hours}
    print(json.dumps(report) if _JSON.value else words(report))


def words(report: dict) -> str:
    lines = [
        f"{report['arch'] or 'pattern'} {report['pattern']} at {report['scale']}: {report['n_params']:,} parameters "
        f"+ {report['n_embedding']:,} embedding, {report['flops_per_token']:,} FLOPs a token",
        f"{report['devices']} H200 on {report['hosts']} host(s), mesh {report['mesh']}, microbatch "
        f"{report['microbatch']} x {report['accumulation']}, remat {report['remat']}, loss {report['loss']}",
        f"compiled in {report['compile_s']:.0f} s by {COMPILERS[report['compiler']]}; attention {report['attention']}, "
        f"ssd {report['ssd']}",
        "a device: " + ", ".join(f"{name[:-6]} {size / 2**20:,.1f} MiB" for name, size in report["per_device"].items()),
        f"fits 141 GB: {FITS[report['fits']]}",
    ]
    for one in report["collectives"]:
        span = "crosses nodes" if one["crosses_nodes"] else "in a node"
        size = f"{one['bytes'] / 2**20:,.2f} MiB {one['dtype']}"
        lines.append(f"  {one['count']:>5} x {one['kind']:<18} {size:>22} over {one['group']} devices, {span}")
    if report["step_floor_s"]:
        (low, high), mfu = report["step_floor_s"], report["mfu_at_floor"]
        lines.append(
            f"a step takes at least {low:.3f} s (messages hidden) to {high:.3f} s (nothing hidden): an MFU of at most "
            f"{mfu[0]:.0%} to {mfu[1]:.0%}; floors, not measurements"
        )
    for share, hours in report["hours_at_mfu"].items():
        dollars = report.get("dollars_at_mfu")
        lines.append(f"at {float(share):.0%} MFU {hours:,.1f} hours" + (f", ${dollars[share]:,.0f}" if dollars else ""))
    return "\n".join(lines)


COMPILERS = {
    "h200": "XLA's compiler for the H200",
    "cpu": "XLA for CPUs: arguments and messages hold, temporaries are indicative, there are no floors",
}
FITS = {True: "yes", False: "no", None: "not known without the extra h200"}

if __name__ == "__main__":
    cli.run(main)
