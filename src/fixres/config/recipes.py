"""Recipes to train and fine-tune a network of one's own on some thousand images.

`fixres recommend` writes them into its configuration; `fixres.fix` (api/) begins with them. What
they leave out has the default of `FineTuning` and `BaseTraining`.
"""

# Those of Table 3 at the paper's scale (§5.3), and no step schedule, whose length would have to
# fit.
FINE_TUNING = {
    "layers": "cls+bn",
    "augmentation": "test DA",
    "images": None,
    "epochs": 20,
    "batch_size": 64,
    "lr": 0.001,
    "schedule": "cosine",
}
TRAINING = {
    "epochs": 30,
    "samples_per_epoch": None,
    "batch_size": 64,
    "lr_per_256": 0.04,
    "schedule": "cosine",
    "warmup": 0.1,
    "weight_decay": 0.0001,
    "repeated_augmentation": 1,
    "augmentation": {"jitter": 0.3},
}


def fitting(batch_size: int, images: int) -> int:
    """The batch size, or half of the images if that is fewer.

    Half of the images may turn out to be bad, and an epoch fills a batch all the same.
    """
    return min(batch_size, max(images // 2, 1))
