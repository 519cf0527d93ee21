"""Run stages in one process, which imports TensorFlow and compiles each model once.

An argument is a stage and its words, such as "train +variant=none". Emulated processors are slow.
"""

import sys
from functools import lru_cache
from importlib import import_module

from pipeline.models import fit, functions

fit._compiled = lru_cache(maxsize=None)(fit._compiled.__wrapped__)
functions.functions = lru_cache(maxsize=None)(functions.functions.__wrapped__)

for command in sys.argv[1:]:
    print(command, file=sys.stderr, flush=True)
    sys.argv = command.split()
    import_module(f"pipeline.{sys.argv[0]}").main()
