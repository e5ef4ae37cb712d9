"""Training on scikit-learn's handwritten digits: 1,797 real scans that ship with the package.

It stands for a project of your own: a file in a plain folder, sent as source. It runs in an
environment of its own; scikit-learn need not be installed where it is sent from, so it is imported
where it is used.
"""

from __future__ import annotations

import os
import time
from typing import Any


def train(alpha: float = 1e-4, epochs: int = 5, seed: int = 0) -> dict[str, Any]:
    """Train a linear classifier, one pass over the scans after the other.

    Args:
        alpha: Strength of the regularisation.
        epochs: Passes over the training scans.
        seed: Of the order in which scans are seen.

    Returns:
        The settings, accuracy on 450 scans that were not trained on, the seconds it took and the
        process that did it.
    """
    from sklearn.datasets import load_digits  # pyright: ignore[reportMissingImports]
    from sklearn.linear_model import SGDClassifier  # pyright: ignore[reportMissingImports]
    from sklearn.metrics import log_loss  # pyright: ignore[reportMissingImports]
    from sklearn.model_selection import train_test_split  # pyright: ignore[reportMissingImports]

    began = time.perf_counter()
    scans, digits = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        scans / 16.0, digits, test_size=450, random_state=seed, stratify=digits
    )
    model = SGDClassifier(loss="log_loss", alpha=alpha, random_state=seed)
    accuracy = 0.0
    for epoch in range(epochs):
        model.partial_fit(train_x, train_y, classes=range(10))
        accuracy = float(model.score(test_x, test_y))
        loss = float(log_loss(test_y, model.predict_proba(test_x), labels=range(10)))
        print(
            f"alpha={alpha:g} epoch={epoch + 1}/{epochs} loss={loss:.3f} accuracy={accuracy:.3f}"
        )
    return {
        "alpha": alpha,
        "epochs": epochs,
        "accuracy": round(accuracy, 4),
        "seconds": round(time.perf_counter() - began, 2),
        "process": os.getpid(),
    }
