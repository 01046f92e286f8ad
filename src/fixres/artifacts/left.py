"""Arrays that one job leaves in the folder of another, which would compute the same ones itself.

They are not outputs. A file carries a key: a digest of all that its numbers depend on. A file with
another key, or a damaged one, counts as none: whoever finds none computes.
"""

from pathlib import Path

import numpy as np

from fixres import jobs

Arrays = dict[str, np.ndarray]


def save(file: Path, key: str, arrays: Arrays) -> None:
    """Write arrays by name."""
    with jobs.atomic(file) as temporary, open(temporary, "wb") as f:
        np.savez(f, key=np.array(key), **arrays)


def load(file: Path, key: str) -> Arrays:
    """The arrays of a file; {} where there are none with this key."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            known = str(archive["key"]) == key
            return {name: archive[name] for name in archive.files if name != "key"} if known else {}
    except FileNotFoundError:
        return {}
    except Exception as error:  # any exception: it depends on the byte that is broken
        jobs.log(f"ignored: {file} is damaged ({error})")
        return {}
