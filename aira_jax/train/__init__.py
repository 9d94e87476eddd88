"""A training kit: what every training needs and no task has. It knows no task, no candidate and no data set.

    step = Step(create, update, Layout(mesh, fsdp("data", 2)))      # state and update as pure functions
    update = step.lower(batch_shapes).compile()                     # memory.need_bytes(update) before anything runs
    with held(folder), Checkpoints(folder / "checkpoints") as checkpoints:
        begin(folder, identity)                                     # starts or continues; another run is refused
        first = checkpoints.latest or 0
        state = checkpoints.restore(step.shapes) if first else step.initial()
        hooks = [Hook(evaluate, Every(100)), Hook(checkpoints.save, Every(500), on_signal=True)]
        state = Loop(update, batch_at, Clock(total, first), on_metrics=[Hook(log, Every(10, first=True))],
                     on_state=hooks).run(state)

A run that is killed and continued equals one that never stopped, as long as `batch_at(update)` and the keys in `update`
are functions of the number of the update. Failures are typed and carry data (`errors`); a client says what they mean.
"""
