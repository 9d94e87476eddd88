"""The recipes behind the published AIRA models: which scores, which selector, as far as they are published.

Source: arXiv 2605.15871. It publishes neither the decay constant nor which combiner made which model: AIRAformer C and
D come from one candidate set, and so do AIRAhybrid A, B and C, which leaves the combiner as their difference. A recipe
therefore elects several patterns.
"""

import dataclasses
from collections.abc import Mapping

from aira_jax.compose.aggregate import DECAYS, METHODS, Elected, outcomes
from aira_jax.compose.voters import KMeansTop, RankDecay, Ranking, Selector, TopK
from aira_jax.core import choices


@dataclasses.dataclass(frozen=True)
class Recipe:
    """`agents` says whose patterns are collected; picking those is up to the collection."""

    space: int | str
    datasets: tuple[str, ...]
    agents: str
    selections: Mapping[str, tuple[Selector, ...]]

    def elect(self, rankings: Mapping[str, Ranking]) -> tuple[Elected, ...]:
        """The distinct patterns of this recipe from one ranking per data set; ValueError if one is missing."""
        missing = [name for name in self.datasets if name not in rankings]
        if missing:
            raise ValueError(f"no ranking of {', '.join(missing)}: this recipe needs {', '.join(self.datasets)}")
        return outcomes([rankings[name] for name in self.datasets], selections=self.selections, methods=METHODS)


_CLUSTER = {"kmeans_top": (KMeansTop(3),)}
_GPT5_2 = Recipe(2, ("MAD",), "greedy GPT-5, 20 seeds", _CLUSTER)
_GPT5_3 = Recipe(3, ("MAD",), "greedy GPT-5, 20 seeds", _CLUSTER)
_ALL_3 = Recipe(3, ("MAD",), "all six agents", _CLUSTER)

RECIPES = {
    "AIRAformer-A": Recipe(
        2,
        ("MAD", "BabiStories", "DCLM"),
        "all",
        {f"rank_decay {decay:g}": (RankDecay(decay, 20),) for decay in DECAYS},
    ),
    "AIRAformer-B": Recipe(2, ("MAD",), "five agents", {"top_k": (TopK(400),)}),
    "AIRAformer-C": _GPT5_2,
    "AIRAformer-D": _GPT5_2,
    "AIRAhybrid-A": _GPT5_3,
    "AIRAhybrid-B": _GPT5_3,
    "AIRAhybrid-C": _GPT5_3,
    "AIRAhybrid-D": _ALL_3,
    "AIRAhybrid-E": _ALL_3,
}


def get(name: str) -> Recipe:
    """The recipe of an AIRA model; ValueError with the closest names for an unknown one."""
    return RECIPES[choices.among("recipe", name, RECIPES)]
