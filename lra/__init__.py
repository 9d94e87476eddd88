"""AIRA-Design on Long Range Arena: data, the candidate contract, encoders, the winning designs, and their training.

settings, options, job, globals, contract, failures, supervise      what is asked; never imports jax
model, nnx, network                                                 a candidate's class becomes functions
train, loop, steps, state, optimizer, limits, rows, metrics         the training, a client of aira_jax.train
workdir, progress, reporting, plots, diagnostics                    its folder, its words, its pictures
child, evaluate                                                     programs of their own
"""
