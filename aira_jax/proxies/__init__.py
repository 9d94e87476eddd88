"""Proxies: small trainings that stand in for pretraining, from a pattern to its score.

evaluator, single, text      what one calls: scores a pattern, never twice
fidelity, text_fidelity      presets: how large a proxy is and how long it trains
mad, mad_rows, text_corpus   the rows
lanes, train, optimizer, proxy_model, engines, engine_table, metrics     the training of several models at once
cache, compile_cache, sources, result                                    what is kept, under which key
correlation                  does a cheap preset rank as a dear one does?
"""
