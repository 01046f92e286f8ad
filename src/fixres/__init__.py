"""FixRes Suite: reproduces "Fixing the train-test resolution discrepancy", and fixes your networks.

For programs that have a network and images (docs/api.md):

    import fixres

    before = fixres.accuracy(module, val, k_test=[128, 160])
    fixed = fixres.fix(module, train, k_test=160)

These names are imported when they are first used, because planning needs no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fixres.api import Accuracy, Adapted, Difference, accuracy, adapt, fix

__all__ = ["Accuracy", "Adapted", "Difference", "accuracy", "adapt", "fix"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("fixres.api"), name)
    if name == "__version__":
        from importlib.metadata import version

        return version("fixres")
    raise AttributeError(f"module 'fixres' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
