"""Search: an agent on a task. Every run lies in <workdir>/<task>/<agent>/seed_<k>/; the same command resumes it.

    python scripts/search.py --workdir=runs
    python scripts/search.py --workdir=runs --config=configs/search.py:demo
    python scripts/search.py --workdir=runs --config=configs/search.py:mad2,agent=opus --config.budget.usd=20
    python scripts/search.py --workdir=runs --config=configs/search.py:mad3,agent=local --config.llm.model=<name>
    python scripts/search.py --workdir=runs --config.llm.backend=replay --config.llm.path=answers.jsonl

smoke         (default) any laptop, no key, under 5 minutes: 6 steps at the smallest fidelity.
demo          2 CPU cores, no key, 4 minutes (measured with `make demo`, see README.md): 12 patterns on two MAD tasks,
              then the best against the first draft with fresh evaluator seeds.
mad2, mad3    one GPU: attention + MLP, or with Mamba-2. Profile paper, 24 h or 500 steps; all good nodes are scored
              on test at the end, because the aggregation ranks by it.
mix, options2, options3, aggregate
              beyond the paper, 6 steps of evolution at the smallest fidelity: one pattern for MAD, BabiStories and DCLM
              at once; layers with hyper-parameters and norms of their own; from a ledger of searches (AIRA_JAX_LEDGER,
              else a built-in one) to one base pattern and how to scale it.
mcts, evolution
              like smoke, with 12 steps of another policy. Islands: policy.evolution.num_islands=3 and
              policy.evolution.migration_every=4.
paper_greedy, paper_mcts, paper_evolution
              the published protocols on MAD: the candidate's own word is the fitness, memory without a bound, whole
              files only, one worker, test scores inline; failures count nothing (MCTS), generations have a barrier.

lra_listops_smoke  2 CPU cores, no key, under 12 minutes: 8 encoders of small list operations, trained and scored.
lra_text, lra_listops, lra_retrieval, lra_<one of them>_configurable, lra_recall, lra_needle
              one GPU: profile paper, 24 h or 500 steps. The data of text, retrieval and needle lie in the folder that
              AIRA_JAX_LRA names (aira_jax/tasks/lra/raw_data.py); longer rows: profile=length-4096 (recall, needle).

`agent=` control (default: random), evolution, opus, sonnet, haiku, local; and, for patterns, the other searches without
a model: mutate, bo (needs the extra `bo`), end_incremental, middle_incremental, exhaustive6 (all patterns of 6 layers).
Those choose by themselves what to evaluate; `eval.width_scaling=true` trains n layers at width 8 n.
Any other `key=value` sets that option, as `--config.key=value` does later. All options with their defaults and meaning:
aira_jax/search/settings.py; those of config.llm (and of config.llm.<operator>): aira_jax/llm/__init__.py. What a
provider takes besides is given here, as in `:mad2,agent=local,llm.extra.seed=1`. One run has one seed; for several:

    for seed in 0 1 2; do python scripts/search.py --workdir=runs --config.seed=$seed; done
"""

from ml_collections import config_dict

from aira_jax.core import choices, config_variants
from aira_jax.search.settings import Settings, to_config

MAD2 = "NeuralArchitectureSearchMAD2PrimitivesAccuracy"
MAD3 = "NeuralArchitectureSearchMAD3PrimitivesMbAccuracy"
AGGREGATE = "ArchitectureAggregationMAD2PrimitivesAccuracy"
MIX = "NeuralArchitectureSearchMix2PrimitivesRelativeError"
OPTIONS2 = "NeuralArchitectureSearchMAD2PrimitivesOptionsAccuracy"
OPTIONS3 = "NeuralArchitectureSearchMAD3PrimitivesMbOptionsAccuracy"

PAPER = {"profile": "paper", "test.when": "after_all"}
PUBLISHED = {
    "profile": "paper",
    "fitness": "self_reported",
    "dedupe": "rerun",
    "memory.max_chars": 0,
    "prompt.allow_edits": False,
    "test.when": "inline",
    "llm.temperature": 0.6,
}
BEYOND = {"llm.backend": "control.evolution", "budget.steps": 6, "test.when": "submitted", "test.repeat_winner": 0}
LRA = {
    "text": "LRAText",
    "listops": "LRAListOps",
    "retrieval": "LRARetrieval",
    "text_configurable": "LRATextConfigurable",
    "listops_configurable": "LRAListOpsConfigurable",
    "retrieval_configurable": "LRARetrievalConfigurable",
    "recall": "Recall",
    "needle": "Needle",
}
VARIANTS = {
    "smoke": {"budget.steps": 6, "test.when": "submitted", "test.repeat_winner": 0},
    "demo": {
        "profile": "demo",
        "llm.backend": "control.evolution",
        "workers.n": 2,
        "workers.slots_per_device": 2,
        "budget.steps": 12,
        "budget.min_exec_s": 5.0,
        "confirm.top_k": 1,
        "confirm.seeds": 2,
        "confirm.baseline": "first_draft",
        "test.when": "submitted",
    },
    "mad2": PAPER | {"task": MAD2},
    "mad3": PAPER | {"task": MAD3},
    "aggregate": BEYOND | {"task": AGGREGATE},
    "mix": BEYOND | {"task": MIX},
    "options2": BEYOND | {"task": OPTIONS2},
    "options3": BEYOND | {"task": OPTIONS3},
    "mcts": BEYOND | {"policy.name": "mcts", "budget.steps": 12},
    "evolution": BEYOND | {"policy.name": "evolution", "budget.steps": 12},
    "paper_greedy": PUBLISHED,
    "paper_mcts": PUBLISHED | {"policy.name": "mcts", "policy.mcts.count_failures": False},
    "paper_evolution": PUBLISHED | {"policy.name": "evolution", "policy.evolution.barrier": True},
    **{
        f"lra_{name}": {"task": f"LongContextReasoning{data}Accuracy", "profile": "paper", "test.when": "after"}
        for name, data in LRA.items()
    },
    "lra_listops_smoke": {
        "task": "LongContextReasoningLRAListOpsAccuracy",
        "llm.backend": "control.evolution",
        "policy.greedy.num_drafts": 4,
        "workers.n": 2,
        "workers.slots_per_device": 2,
        "budget.steps": 8,
        "budget.min_exec_s": 5.0,
        "sandbox.fit_s": 130.0,
        "test.when": "submitted",
        "test.repeat_winner": 0,
    },
}
AGENTS = {
    "control": {"llm.backend": "control.random"},
    "evolution": {"llm.backend": "control.evolution"},
    "mutate": {"llm.backend": "control.mutate"},
    "bo": {"llm.backend": "control.bo", "llm.initial": 4},
    "end_incremental": {"llm.backend": "control.end_incremental"},
    "middle_incremental": {"llm.backend": "control.middle_incremental"},
    "exhaustive6": {"llm.backend": "control.exhaustive", "llm.layers": 6},
    "opus": {"llm.backend": "anthropic", "llm.model": "claude-opus-4-6"},
    "sonnet": {"llm.backend": "anthropic", "llm.model": "claude-sonnet-4-6"},
    "haiku": {"llm.backend": "anthropic", "llm.model": "claude-haiku-4-5"},
    "local": {"llm.backend": "openai_compat", "llm.base_url": "http://127.0.0.1:8000/v1"},
}


def get_config(variant: str = "smoke") -> config_dict.ConfigDict:
    """The config of `<variant>[,agent=<name>][,<key>=<value>...]`. Raises ValueError naming what is valid."""
    return config_variants.apply(
        to_config(Settings()),
        variant,
        file="configs/search.py",
        named=lambda name: _chosen(name, VARIANTS, "variant"),
        words={"agent": lambda name: _chosen(name, AGENTS, "agent")},
    )


def _chosen(name: str, table: dict, what: str) -> dict:
    if name not in table:
        raise ValueError(choices.refusal(f"configs/search.py has no {what} {name!r}", name, table))
    return table[name]
