"""Run by the story with plain Python, outside the project: opens a downloaded model and evaluates it.

    python opened_elsewhere.py MODEL.keras MNIST-5K.npz

Prints accuracy and loss.
"""

import sys

import keras
import numpy as np

model = keras.models.load_model(sys.argv[1])
with np.load(sys.argv[2]) as data:
    loss, accuracy = model.evaluate(data["x_test"], data["y_test"], verbose=0)
assert not {name for name in sys.modules if name.split(".")[0] in {"keepfit", "worker", "web", "shared"}}
sys.stdout.write(f"{accuracy:.10f} {loss:.10f}\n")
