"""The commands: each file is a script of a checkout and a verb of `aira` where the package is installed."""
