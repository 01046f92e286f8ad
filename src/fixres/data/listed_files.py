"""Check that files are still those in the manifest, because altered images are other data."""

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
        self.left = manifest.checksum.copy()  # 0: already compared
        self.plain = np.ones(len(self.left), bool)  # once compared: whether DALI decodes it

    def take(self, images: np.ndarray) -> list[int]:
        """The checksums of some rows that are still to be compared; 0 from the second time on."""
        taken = self.left[images].tolist()
        self.left[images] = 0
        return taken

    def read(self, file: str, checksum: int) -> bytes:
        """The content of a file, compared with its checksum unless that is 0 (`take`).

        Raises JobError if the file cannot be read, or has changed since the manifest was built.
        """
        try:
            with open(file, "rb", buffering=0) as opened:  # a Path costs as much time as reading
                data = opened.read()
        except OSError as error:
            restore = "It existed when the manifest was built, so restore it."
            raise JobError(f"{file}: cannot be read ({error.strerror}). {restore}") from None
        if checksum and checksum_of(data) != checksum:
            raise JobError(
                f"{file}: altered or truncated since the manifest was built. Restore it; or, if "
                f"this suite rendered it, delete {self.manifest.folder} and the manifest, and let "
                "Snakemake make both again."
            )
        return data

    def compare(self, images: np.ndarray, pool: Executor) -> None:
        """Compare the files of some rows that were not compared before. Raises like `read`."""
        rows = images[self.left[images] != 0]
        contents = pool.map(self.read, self.manifest.files(rows), self.take(rows))
        for row, content in zip(rows.tolist(), contents, strict=True):
            self.plain[row] = is_plain(content)
