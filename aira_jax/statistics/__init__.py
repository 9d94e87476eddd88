"""Statistics over a folder of runs: which were valid, how good they were, and how sure one may be of it. No jax."""
