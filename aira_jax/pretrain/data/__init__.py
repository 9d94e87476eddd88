"""What pretraining reads: tokens in windows whose order is a pure function of (seed, step, row).

settings    which corpus, which tokenizer
tokenizers  text to token ids and back
documents   the texts of a corpus, and which of them are held out
windows     one stream of tokens, cut into windows
shards      windows in array_record files, written once, read at random
sources     `make_source`: the record at (seed, step, row), whatever it is read from
ahead       batches made while the device computes
"""

from aira_jax.pretrain.data.ahead import Ahead
from aira_jax.pretrain.data.settings import DataConfig, Kind
from aira_jax.pretrain.data.sources import Source, make_source

__all__ = ["Ahead", "DataConfig", "Kind", "Source", "make_source"]
