"""The Compose tasks: a pattern of primitives, scored by a proxy that trains it."""
