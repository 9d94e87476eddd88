"""What happened: the event log, the tree and the test scores that are folded from it."""
