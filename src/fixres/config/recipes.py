"""Recipes to train and fine-tune a custom network on a few thousand images.

`fixres recommend` writes them into its configuration, and `fixres.fix` (api/) starts from them. All
other keys have the defaults of `FineTuning` and `BaseTraining`.
"""

# The recipes of Table 3 at the paper's scale (§5.3), but with a cosine schedule: the step schedule
# would have to be matched to the number of epochs.
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
    """The batch size, or half the number of images if that is smaller.

    So an epoch fills a batch even if half of the images turn out to be bad.
    """
    return min(batch_size, max(images // 2, 1))
