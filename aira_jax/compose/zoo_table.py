"""The published architectures as printed, and the repairs of printed patterns that contradict their own counts.

Source: arXiv 2605.15871, section 6.1 and appendix D (patterns, layers, parameters in billions), table 10 (A and M of
the two-primitive models). Everything here is a literal; nothing is recomputed by the extrapolator, whose rules the
published models follow only in part.
"""

SPACES = {  # model -> primitives of its family; the order of the zoo
    "Llama 3.2": 2,
    "Composite": 2,
    "AIRAformer-A": 2,
    "AIRAformer-B": 2,
    "AIRAformer-C": 2,
    "AIRAformer-D": 2,
    "Nemotron-H (Approx.)": 3,
    "Nemotron-2 (Approx.)": 3,
    "Mamba (Mb+M)": 3,
    "Composer (2Mb-M-3A)": 3,
    "AIRAhybrid-A": 3,
    "AIRAhybrid-B": 3,
    "AIRAhybrid-C": 3,
    "AIRAhybrid-D": 3,
    "AIRAhybrid-E": 3,
}

BASES = {  # model, variant ("*": all of its variants) -> the small pattern that was scaled
    ("Composite", "stacked"): "2A-4M",
    ("Composite", "stretched"): "2A-5M-2A-3M-A-3M",
    ("AIRAformer-A", "*"): "(A + M) + (2A + 2M) + 4 (A + M) + 2M",
    ("AIRAformer-B", "*"): "2A + 5 (A + M) + 4M",
    ("AIRAformer-C", "*"): "(2A + M) + 3 (A + M) + (2A + M) + 4A",
    ("AIRAformer-D", "*"): "5 (2A + M) + A",
    ("Composer (2Mb-M-3A)", "*"): "2Mb-M-3A",
    ("AIRAhybrid-A", "*"): "2Mb + M + 11Mb + 2M",
    ("AIRAhybrid-B", "*"): "3 (2Mb + M + A) + 2Mb + 2M",
    ("AIRAhybrid-C", "*"): "2Mb + A + 2 (Mb + A) + M + 2 (A + Mb + A + M)",
    ("AIRAhybrid-D", "*"): "2Mb + M + 2 (Mb + M) + A + M + Mb + M + A + M + Mb + M + A",
    ("AIRAhybrid-E", "*"): "5 (Mb + M + A) + M",
}

# model, variant ("-": it has one form), scale, pattern, layers, (A, M, Mb), parameters in 1e9: non-embedding, total
PRINTED = (
    ("Llama 3.2", "-", "350M", "14(A-M)", 28, (14, 14, 0), 0.35, 0.55),
    ("Llama 3.2", "-", "1B", "16(A-M)", 32, (16, 16, 0), 0.97, 1.23),
    ("Llama 3.2", "-", "3B", "28(A-M)", 56, (28, 28, 0), 2.82, 3.21),
    ("Composite", "stacked", "350M", "4(2A-4M)", 24, (8, 16, 0), 0.35, 0.55),
    ("Composite", "stacked", "1B", "4(2A-4M)-A-2M", 27, (10, 19, 0), 1.00, 1.26),
    ("Composite", "stacked", "3B", "8(2A-4M)-A-2M", 51, (17, 34, 0), 3.00, 3.39),
    ("Composite", "stretched", "350M", "3A-8M-3A-5M-2A-5M", 26, (8, 18, 0), 0.39, 0.59),
    ("Composite", "stretched", "1B", "4A-9M-4A-5M-2A-5M", 29, (10, 19, 0), 1.06, 1.32),
    ("Composite", "stretched", "3B", "7A-16M-7A-10M-4A-10M", 54, (18, 36, 0), 3.17, 3.56),
    ("AIRAformer-A", "stretched", "350M", "2(A-M-2A-2M-3(A-M)-A-3M)", 26, (12, 14, 0), 0.34, 0.54),
    ("AIRAformer-A", "stretched", "1B", "2(A-M-2A-2M)-(2A-2M)-4M", 32, (14, 18, 0), 1.05, 1.31),
    ("AIRAformer-A", "stretched", "3B", "2(A-M-4A-4M-6(A-M)-2A-6M)", 56, (25, 31, 0), 2.97, 3.36),
    ("AIRAformer-B", "stacked", "350M", "(3A-4(M-A)-5M)-7M", 23, (7, 16, 0), 0.35, 0.55),
    ("AIRAformer-B", "stacked", "1B", "2(3A-4(M-A)-5M)", 32, (14, 18, 0), 1.05, 1.31),
    ("AIRAformer-B", "stacked", "3B", "3(3A-4(M-A)-5M)-5M", 53, (21, 32, 0), 2.94, 3.33),
    ("AIRAformer-C", "stacked", "350M", "2(2(2A-M)-3(A-M)-4A)-2A", 34, (24, 10, 0), 0.34, 0.54),
    ("AIRAformer-C", "stacked", "1B", "3(2(2A-M)-3(A-M)-4A)", 48, (33, 15, 0), 1.10, 1.36),
    ("AIRAformer-C", "stacked", "3B", "5(2(2A-M)-3(A-M)-4A)-6A", 76, (56, 20, 0), 2.92, 3.31),
    ("AIRAformer-C", "stretched", "350M", "4A-2M-2A-2M-2A-2M-2A-8A", 34, (23, 11, 0), 0.35, 0.55),
    ("AIRAformer-C", "stretched", "1B", "6A-3M-3A-3M-3A-3M-3A-3M-6A-3M-12A", 48, (33, 15, 0), 1.10, 1.36),
    ("AIRAformer-C", "stretched", "3B", "10A-5M-5A-5M-5A-5M-5A-20A-3A", 70, (47, 23, 0), 2.92, 3.31),
    ("AIRAformer-D", "stacked", "350M", "2(5(2A-M)-A)-2A", 34, (24, 10, 0), 0.34, 0.54),
    ("AIRAformer-D", "stacked", "1B", "3(5(2A-M)-A)", 48, (33, 15, 0), 1.10, 1.36),
    ("AIRAformer-D", "stacked", "3B", "5(5(2A-M)-A)-6A", 76, (56, 20, 0), 2.92, 3.31),
    ("AIRAformer-D", "stretched", "350M", "4A-2M-4A-2M-4A-2M-4A-2M-4A-2M-2A-M", 34, (23, 11, 0), 0.35, 0.55),
    ("AIRAformer-D", "stretched", "1B", "6A-3M-6A-3M-6A-3M-6A-3M-6A-3M-3A", 48, (33, 15, 0), 1.10, 1.36),
    ("AIRAformer-D", "stretched", "3B", "10A-5M-10A-5M-10A-5M-10A-5M-10A-5M-5A-3M", 70, (47, 23, 0), 2.92, 3.31),
    ("Nemotron-H (Approx.)", "-", "350M", "Mb-M-A-5(M-Mb)-A-M-Mb-M-Mb", 18, (2, 8, 8), 0.36, 0.55),
    ("Nemotron-H (Approx.)", "-", "1B", "Mb-M-2(A-4(M-Mb)-M)-A-M-Mb-M", 28, (3, 13, 12), 1.00, 1.26),
    ("Nemotron-H (Approx.)", "-", "3B", "Mb-M-2(A-4(M-Mb)-M)-A-2(M-Mb)-M-A-M-3(Mb-M)", 37, (4, 17, 16), 2.96, 3.36),
    ("Nemotron-2 (Approx.)", "-", "350M", "3(Mb-M)-Mb-A-4(M-Mb)-A-M-Mb", 17, (2, 7, 8), 0.33, 0.52),
    ("Nemotron-2 (Approx.)", "-", "1B", "2(3(Mb-M)-Mb-A-M)-Mb-M-Mb-A-5(M-Mb)-M", 29, (3, 13, 13), 1.02, 1.28),
    ("Nemotron-2 (Approx.)", "-", "3B", "2(3(Mb-M)-Mb-A-M)-Mb-M-Mb-A-7(M-Mb)-A-M-Mb", 37, (4, 16, 17), 2.91, 3.30),
    ("Mamba (Mb+M)", "-", "350M", "8(Mb-M)-Mb", 17, (0, 8, 9), 0.36, 0.56),
    ("Mamba (Mb+M)", "-", "1B", "13(Mb-M)", 26, (0, 13, 13), 0.99, 1.25),
    ("Mamba (Mb+M)", "-", "3B", "17(Mb-M)-Mb", 35, (0, 17, 18), 2.98, 3.37),
    ("Composer (2Mb-M-3A)", "-", "350M", "4(2Mb-M-3A)-2Mb", 26, (12, 4, 10), 0.34, 0.53),
    ("Composer (2Mb-M-3A)", "-", "1B", "7(2Mb-M-3A)-2Mb-M", 45, (21, 8, 16), 1.04, 1.30),
    ("Composer (2Mb-M-3A)", "-", "3B", "9(2Mb-M-3A)-2Mb-M", 57, (27, 10, 20), 2.98, 3.38),
    ("AIRAhybrid-A", "stretched", "350M", "2Mb-M-14Mb-2M-Mb", 20, (0, 3, 17), 0.33, 0.53),
    ("AIRAhybrid-A", "stretched", "1B", "4Mb-2M-22Mb-4M", 32, (0, 6, 26), 0.97, 1.24),
    ("AIRAhybrid-A", "stretched", "3B", "6Mb-3M-30Mb-5M", 44, (0, 8, 36), 3.01, 3.41),
    ("AIRAhybrid-B", "stacked", "350M", "3(Mb-M-A)-2(3(Mb-M)-A)-Mb", 20, (5, 7, 8), 0.35, 0.54),
    ("AIRAhybrid-B", "stacked", "1B", "2(3(2Mb-M-A)-2(Mb-M))", 32, (6, 10, 16), 0.98, 1.24),
    ("AIRAhybrid-B", "stacked", "3B", "2(3(3Mb-M-A)-2(Mb-M))-Mb-M-A-Mb-M", 43, (7, 12, 24), 2.94, 3.33),
    ("AIRAhybrid-B", "stretched", "350M", "3(2Mb-M-A)-3(Mb-M)-A-Mb", 20, (4, 6, 10), 0.34, 0.54),
    ("AIRAhybrid-B", "stretched", "1B", "3(4Mb-2M-2A)-2(2Mb-2M)", 32, (6, 10, 16), 0.98, 1.24),
    ("AIRAhybrid-B", "stretched", "3B", "3(5Mb-3M-3A)-3Mb-3M-3Mb-M", 43, (9, 13, 21), 2.93, 3.32),
    ("AIRAhybrid-C", "stretched", "350M", "4Mb-2A-Mb-3(2A-Mb-2A-M)-Mb-A-Mb-A", 29, (16, 3, 10), 0.33, 0.53),
    ("AIRAhybrid-C", "stretched", "1B", "5Mb-3A-2Mb-3(3A-2Mb-3A-2M)", 40, (21, 6, 13), 0.86, 1.12),
    ("AIRAhybrid-C", "stretched", "3B", "8Mb-5A-3Mb-2(5A-3Mb-5A-3M)-5A-3Mb-5A", 61, (35, 6, 20), 2.73, 3.12),
    ("AIRAhybrid-D", "stacked", "350M", "Mb-M-Mb-3(M-Mb-M-A)-Mb-M-Mb", 18, (3, 8, 7), 0.35, 0.54),
    ("AIRAhybrid-D", "stacked", "1B", "2(2Mb-3(M-Mb-M-A))", 32, (6, 14, 12), 1.08, 1.34),
    ("AIRAhybrid-D", "stacked", "3B", "2(2Mb-3(M-Mb-M-A))-3(Mb-M)-A", 39, (7, 17, 15), 2.98, 3.37),
    ("AIRAhybrid-D", "stretched", "350M", "2Mb-M-Mb-3(M-Mb-M-A)-Mb-M", 18, (3, 8, 7), 0.35, 0.54),
    ("AIRAhybrid-D", "stretched", "1B", "4Mb-2M-2Mb-3(2M-2Mb-2M-2A)", 32, (6, 14, 12), 1.08, 1.34),
    ("AIRAhybrid-D", "stretched", "3B", "5Mb-2M-2Mb-3(2M-2Mb-2M-2A)-3(Mb-M)", 39, (6, 17, 16), 3.01, 3.41),
    ("AIRAhybrid-E", "stacked", "350M", "5(Mb-M-A)-M-Mb-M-A-Mb", 20, (6, 7, 7), 0.34, 0.54),
    ("AIRAhybrid-E", "stacked", "1B", "2(5(Mb-M-A)-M)", 32, (10, 12, 10), 0.97, 1.23),
    ("AIRAhybrid-E", "stacked", "3B", "2(5(Mb-M-A)-M)-4(Mb-M-A)", 44, (14, 16, 14), 2.98, 3.38),
    ("AIRAhybrid-E", "stretched", "350M", "5(Mb-M-A)-M-Mb-M-A-Mb", 20, (6, 7, 7), 0.34, 0.54),
    ("AIRAhybrid-E", "stretched", "1B", "5(2Mb-2M-2A)-2M", 32, (10, 12, 10), 0.97, 1.23),
    ("AIRAhybrid-E", "stretched", "3B", "4(3Mb-3M-3A)-3Mb-3M-2A", 44, (14, 15, 15), 2.93, 3.32),
)

# Printed patterns that do not expand to their printed counts. The counts fit the printed parameters, so the string is
# taken to be wrong: the smallest plausible change that gives the counts, and what it rests on.
REPAIRED = {
    ("AIRAformer-A", "stretched", "350M"): ("A-M-2A-2M-3(A-M)-A-3M-A-M-2A-2M-2(A-M)", "the first 26 layers"),
    ("AIRAformer-A", "stretched", "1B"): (
        "2(A-M-2A-2M)-4(2A-2M)-4M",
        "a lost count 4; 2A-2M-4A-4M-4(2A-2M)-4M would fit as well",
    ),
    ("AIRAformer-A", "stretched", "3B"): (
        "A-M-4A-4M-6(A-M)-2A-6M-A-M-4A-4M-6(A-M)-A-3M",
        "the second copy ends early",
    ),
    ("AIRAformer-C", "stacked", "3B"): ("4(2(2A-M)-3(A-M)-4A)-12A", "four copies, and attention for the rest"),
    ("AIRAformer-C", "stretched", "350M"): ("4A-2M-2A-2M-2A-2M-2A-2M-4A-2M-8A-M-A", "lost runs of the doubled base"),
    ("AIRAformer-C", "stretched", "3B"): ("10A-5M-5A-5M-5A-5M-5A-5M-10A-3M-12A", "lost runs of the base times five"),
    ("AIRAformer-D", "stacked", "3B"): ("4(5(2A-M)-A)-12A", "four copies, and attention for the rest"),
    ("AIRAformer-D", "stretched", "350M"): ("5(4A-2M)-2A-M-A", "one lost layer at the end"),
    ("AIRAformer-D", "stretched", "3B"): ("4(10A-5M)-7A-3M", "four groups, and a shorter fifth"),
    ("Nemotron-H (Approx.)", "-", "1B"): ("Mb-M-2(A-5(M-Mb))-A-M-Mb-M", "two lost Mb"),
    ("Nemotron-H (Approx.)", "-", "3B"): ("Mb-M-2(A-5(M-Mb))-A-2(M-Mb)-A-M-3(Mb-M)", "two lost Mb, one M too many"),
    ("Nemotron-2 (Approx.)", "-", "350M"): ("3(Mb-M)-Mb-A-3(M-Mb)-A-M-Mb", "a count 4 for 3"),
    ("Nemotron-2 (Approx.)", "-", "1B"): ("2(3(Mb-M)-Mb-A-M)-Mb-M-Mb-A-3(M-Mb)-M", "a count 5 for 3"),
    ("Nemotron-2 (Approx.)", "-", "3B"): ("2(3(Mb-M)-Mb-A-M)-Mb-M-Mb-A-6(M-Mb)-A-M-Mb", "a count 7 for 6"),
    ("AIRAhybrid-B", "stacked", "350M"): ("3(Mb-M-A)-2(2(Mb-M)-A)-Mb", "a count 3 for 2"),
    ("AIRAhybrid-D", "stacked", "1B"): ("2(2Mb-M-Mb-3(M-Mb-M-A))", "two copies of the base"),
    ("AIRAhybrid-D", "stacked", "3B"): ("2(2Mb-M-Mb-3(M-Mb-M-A))-3(Mb-M)-A", "two copies of the base and a rest"),
}

# Printed patterns that stand although the printed counts differ.
KEPT = {
    ("Composite", "stacked", "1B"): (
        "its 27 layers (9/18/0) fit the printed 27 layers and 1.00 billion parameters; table 10 repeats the counts of "
        "the stretched model"
    ),
}
