"""The engine: the only room that computes with tensors."""

import logging
import os
import warnings

# Read by libgomp when torch loads it, so it must be set before. By default its threads spin while they wait,
# and on a machine with anything else to do they spin in each other's way: a training step that takes 2.5 s
# alone took 33 s beside one other busy process, and 2.9 s with this.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# It recommends an optional package at every import, and tells of each 8-bit product that it casts its input.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
# What one library tells another about a name that will change is no news to a person.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
