"""Downloads with progress, which resume after an interruption and are checked when complete.

Published weights and the files of datasets are fetched this way.
"""

import contextlib
import http.client
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from fixres.jobs.errors import JobError
from fixres.jobs.files import naming_in_errors
from fixres.jobs.logs import log, progress

CHUNK = 2**20  # bytes to read at a time
MB = 1_000_000
TIMEOUT = 30.0  # seconds to wait for an answer
HEADERS = {"User-Agent": "fixres"}  # some servers reject Python's default user agent


def fetch(url: str, part: Path, check: Callable[[Path], None], way_out: str) -> None:
    """Download a file to `part`, resuming an interrupted attempt, and check it.

    Parameters
    ----------
    check : raises JobError if the file is not the expected one; then the file is removed. For
        example, the file on the server changed between two attempts, so `part` is a mixture.
    way_out : what to do if the file is unavailable; the end of the error message.

    Raises
    ------
    JobError : names the URL, or the folder that has too little space.
    OSError : an error of the disk; names the file.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    _receive(url, part, way_out)
    try:
        check(part)
    except JobError:
        part.unlink()
        raise


def _receive(url: str, part: Path, way_out: str) -> None:
    """Append the missing bytes of `url` to `part`."""
    done = part.stat().st_size if part.exists() else 0
    with _network_errors(url, way_out):
        asked = {"Range": f"bytes={done}-"} if done else {}
        try:
            request = urllib.request.Request(url, headers=HEADERS | asked)
            answer = urllib.request.urlopen(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code == 416 and done:  # nothing is missing
                return
            raise
    if done and answer.status != 206:
        log(f"{url}: the server cannot resume a download. Starting from the beginning.")
        done = 0
    total = done + int(answer.headers.get("Content-Length") or 0)
    _check_room(part.parent, url, total - done)
    carried_on = f", resumed at {done // MB} MB" if done else ""
    bar = progress(f"download of {_name(url)}{carried_on}", _mb(total), "MB", _mb(done))
    with answer, open(part, "ab" if done else "wb") as f, bar:
        while True:
            with _network_errors(url, way_out):
                data = answer.read(CHUNK)
                if not data and done < total:
                    raise OSError(f"the connection broke off after {done} of {total} bytes")
            if not data:
                break
            with naming_in_errors(part):
                f.write(data)
                f.flush()
            done += len(data)
            bar.update(_mb(done) - bar.done)


def _check_room(folder: Path, url: str, missing: int) -> None:
    """Raise JobError if the disk has no space for that many bytes."""
    if (free := shutil.disk_usage(folder).free) < missing:
        needed = f"got {free // MB} MB free, expected {_mb(missing)} MB for {_name(url)}"
        again = "Free some space, then run the same command again."
        raise JobError(f"{folder}: too little disk space ({needed}). {again}")


@contextlib.contextmanager
def _network_errors(url: str, way_out: str) -> Iterator[None]:
    """Turn a problem of the network or the server into a JobError that names the URL."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
        again = "" if refused else "Run the same command again to resume, or "
        first = way_out[:1].upper() if refused else way_out[:1].lower()
        fix = f"{again}{first}{way_out[1:].removesuffix('.')}."
        raise JobError(f"{url}: could not be fetched ({_reason(error)}). {fix}") from None


def _reason(error: Exception) -> str:
    """Why a file could not be fetched."""
    reason = getattr(error, "reason", error)
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {reason}"
    if isinstance(reason, socket.gaierror):
        return "no network, or no such server"
    return str(reason) or type(reason).__name__


def _name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _mb(size: int) -> int:
    """Megabytes, rounded up."""
    return -(-size // MB)
