"""Programs of code that nobody trusts: exported once where that code runs, loaded where it never does.

    store.save(folder, "apply", function, inputs)                   # in a sandbox: traces, lowers, writes StableHLO
    apply = store.load(folder, "apply", inputs, outputs)            # trusted: a pure function, or ProgramError

A program reads its arguments and nothing else: no host callback, no file, no clock, no state (`policy`).
"""
