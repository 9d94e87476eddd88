"""What a node of a search does to its parents."""

import enum


class Operator(enum.StrEnum):
    """A request to a proposer names one of the first five; WAIT and STOP are a policy's words."""

    DRAFT = "draft"
    IMPROVE = "improve"
    DEBUG = "debug"
    CROSSOVER = "crossover"
    ANALYZE = "analyze"
    WAIT = "wait"
    STOP = "stop"
