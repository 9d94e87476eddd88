"""Speed of the training loop: against a peer's own step, of the input pipeline, of the designs, of a whole run."""
