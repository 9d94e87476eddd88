"""Benchmarks of the kernels: correctness first, then time, one row per arm. Entry point: scripts/bench_kernels.py."""
