"""Multiplies matrices that do not fit."""

import numpy as np

np.ones((2, 3)) @ np.ones((4, 5))
