"""Published validation losses of the zoo at 1B, to compare with: never results of this project.

Source: arXiv 2605.15871, tables 2 and 3: 1B parameters, 71,565 steps of 524,288 tokens of DCLM, nats per token. Table 2
gives means of three seeds, table 3 no spread. Losses of other papers or other reruns do not belong beside these.
"""

LOSSES_1B = {  # name as `aira_jax.compose.zoo.Model.key` -> loss, standard deviation over seeds (None: not printed)
    "Llama 3.2": (2.815, 0.003),
    "Composite (Stacked)": (2.782, 0.021),
    "Composite (Stretched)": (2.759, 0.002),
    "AIRAformer-A (Stretched)": (2.752, 0.002),
    "AIRAformer-B (Stacked)": (2.752, 0.001),
    "AIRAformer-C (Stacked)": (2.751, 0.002),
    "AIRAformer-C (Stretched)": (2.750, 0.001),
    "AIRAformer-D (Stacked)": (2.745, 0.002),
    "AIRAformer-D (Stretched)": (2.734, 0.001),
    "Nemotron-H (Approx.)": (2.741, None),
    "Nemotron-2 (Approx.)": (2.732, None),
    "Mamba (Mb+M)": (2.771, None),
    "Composer (2Mb-M-3A)": (2.724, None),
    "AIRAhybrid-A (Stretched)": (2.750, None),
    "AIRAhybrid-B (Stacked)": (2.732, None),
    "AIRAhybrid-B (Stretched)": (2.728, None),
    "AIRAhybrid-C (Stretched)": (2.740, None),
    "AIRAhybrid-D (Stacked)": (2.720, None),
    "AIRAhybrid-D (Stretched)": (2.719, None),
    "AIRAhybrid-E (Stacked)": (2.736, None),
    "AIRAhybrid-E (Stretched)": (2.732, None),
}
