"""What is asked and answered: requests, prompts, memory, the grammar of answers, verdicts."""
