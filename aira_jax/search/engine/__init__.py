"""What happens: the loop, its steps, calls, executions, workers and budget."""
