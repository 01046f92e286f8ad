"""Whether a file is still the file that the manifest lists. An altered image is other data."""

from concurrent.futures import Executor

import numpy as np

from fixres.artifacts.manifest import Manifest
from fixres.data.image_files import is_plain
from fixres.data.validate import checksum_of
from fixres.jobs import JobError


class ListedFiles:
    """The files of a manifest, each compared with its checksum when this job first reads it."""

    def __init__(self, manifest: Manifest):
        self.manifest = manifest
        self.left = manifest.checksum.copy()  # 0: nothing is left to compare
        self.plain = np.ones(len(self.left), bool)  # once compared: whether DALI decodes it, too

    def take(self, images: np.ndarray) -> list[int]:
        """The checksums that are left to compare of some rows; 0 from the second time on."""
        taken = self.left[images].tolist()
        self.left[images] = 0
        return taken

    def read(self, file: str, checksum: int) -> bytes:
        """The content of a file, compared with its checksum unless that is 0 (`take`).

        Raises JobError where the file cannot be read, or has changed since the manifest was built.
        """
        try:
            with open(file, "rb", buffering=0) as opened:  # a Path costs as much as the reading
                data = opened.read()
        except OSError as error:
            restore = "it was there when the manifest was built: restore it"
            raise JobError(f"{file}: cannot be read ({error.strerror}); {restore}") from None
        if checksum and checksum_of(data) != checksum:
            raise JobError(
                f"{file}: not the file that the manifest was built from: altered or cut short "
                f"since. Restore it; or delete {self.manifest.folder}, where this suite made it, "
                "and the manifest, and let Snakemake make both again"
            )
        return data

    def compare(self, images: np.ndarray, pool: Executor) -> None:
        """Compare the files of some rows that were not compared before. Raises as `read`."""
        rows = images[self.left[images] != 0]
        contents = pool.map(self.read, self.manifest.files(rows), self.take(rows))
        for row, content in zip(rows.tolist(), contents, strict=True):
            self.plain[row] = is_plain(content)
