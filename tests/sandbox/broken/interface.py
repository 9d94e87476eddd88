"""The module `model` lacks the function that the evaluator calls."""

import sys
import types

model = types.ModuleType("model")
sys.modules["model"] = model
exec("class Network: pass", model.__dict__)
model.build(vocab=16)
