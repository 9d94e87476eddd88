"""Task folders in the AIRS-Bench format: loading, data, evaluation, self-test. One package per family beside them.

task, loader, schema, packages                      what a folder says
preparation, mounts, sources, manifests, overview   its data
evaluation, client, fitting                         the evaluator, and who calls it
check                                               the self-test
compose_mad, compose_mix, compose_text, lra_fit     names that published interfaces promise to candidates
"""
