"""A plain training script, the thing that Keepfit is compared with: read, fit, evaluate, save.

python bench/peers/train.py DATASETS FOLDER
"""

import sys
from pathlib import Path


def main(datasets_dir: str, folder: str) -> None:
    """Train the MLP on Fashion-MNIST for ten epochs and print the test accuracy."""
    import keras

    from keepfit.shared.catalog.library import builtin_library
    from keepfit.worker.data import datasets

    data = datasets.load(builtin_library().dataset("fashion-mnist"), Path(datasets_dir))
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    keep = keras.callbacks.ModelCheckpoint(Path(folder, "model.keras"))
    model.fit(data.train.x / 255.0, data.train.y, batch_size=32, epochs=10, verbose=0, callbacks=[keep])
    print(model.evaluate(data.test.x / 255.0, data.test.y, verbose=0)[1])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
