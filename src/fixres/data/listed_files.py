"""TODO."""

from pathlib import Path

import numpy as np

from fixres.data.manifest import Manifest
from fixres.data.validate import checksum_of
from fixres.jobs import JobError

# --- whether a file is still the one that the manifest lists ---------------------------------------------------------------------


class Listed:
    """The checksums of a manifest's files, each handed out once: what has been compared is not compared again in this job."""

    def __init__(self, manifest: Manifest):
        self.folder, self.left = (
            manifest.folder,
            manifest.checksum.copy(),
        )  # 0: nothing to compare (any more)

    def take(self, images: np.ndarray) -> list[int]:
        """The checksum of each of some rows."""
        taken = self.left[images].tolist()
        self.left[images] = 0
        return taken

    def read(self, file: str, checksum: int) -> bytes:
        """The content of a file. Raises `JobError` naming it where it cannot be read or is not what the manifest was built from."""
        try:
            data = Path(file).read_bytes()
        except OSError as error:
            raise JobError(
                f"{file}: cannot be read ({error.strerror}); it was there when the manifest was built: restore it"
            ) from None
        if checksum and checksum_of(data) != checksum:
            raise JobError(
                f"{file}: not the file that the manifest was built from: altered or cut short since. Restore it; or delete {self.folder}, "
                "where this suite made it, and the manifest, and let Snakemake make both again"
            )
        return data
