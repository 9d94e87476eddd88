"""Models at scale in numbers: how long a block takes, what an architecture costs, and what that buys."""
