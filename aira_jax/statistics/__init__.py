"""Statistics over many runs: which were valid, how good they were, and how sure one may be of it. No jax.

rows, groups, tasks, scores, published              what is counted: runs, setups, yardsticks
bootstrap, contrasts, best, ranges, summary, study  intervals, differences, the best per seed, all of it
table, tables, run_tables                           one way to write a table, and the tables
"""
