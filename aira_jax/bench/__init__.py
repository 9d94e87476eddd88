"""What the project measures about itself, above all other rooms: the commands scripts/bench_*.py are their fronts.

Timers, provenance and the benchmark of the kernels lie in kernels_pallas, which imports nothing of the project.
"""
