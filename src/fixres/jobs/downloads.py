"""Files from the web: fetched with progress, carried on after a break, checked when they are whole.

Published weights and the files of datasets come in this way.
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

CHUNK = 2**20  # bytes that are read at a time
MB = 1_000_000
TIMEOUT = 30.0  # seconds to wait for an answer
HEADERS = {"User-Agent": "fixres"}  # some servers turn away what calls itself Python


def fetch(url: str, part: Path, check: Callable[[Path], None], way_out: str) -> None:
    """Fetch a file to `part`, or carry on where the last attempt broke off, and check it.

    Parameters
    ----------
    check : raises JobError where the file is not the expected one. Then the file is removed. For
        example, the file on the server changed between two attempts, so `part` is a mixture.
    way_out : what to do where the file is out of reach. It ends the error message.

    Raises
    ------
    JobError : names the URL, or the folder where there is not enough room.
    OSError : of the disk, names the file.
    """
    part.parent.mkdir(parents=True, exist_ok=True)
    _receive(url, part, way_out)
    try:
        check(part)
    except JobError:
        part.unlink()
        raise


def _receive(url: str, part: Path, way_out: str) -> None:
    """Append to `part` the bytes of `url` that it lacks."""
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
        log(f"{url}: the server cannot carry on a download; from the beginning")
        done = 0
    total = done + int(answer.headers.get("Content-Length") or 0)
    _check_room(part.parent, url, total - done)
    carried_on = f", carried on at {done // MB} MB" if done else ""
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
    """Raise JobError where the disk has no room for that many bytes."""
    if (free := shutil.disk_usage(folder).free) < missing:
        what = f"{free // MB} MB free, but {_name(url)} needs {_mb(missing)} MB"
        raise JobError(f"{folder}: {what}. Make room first, then give the same command again")


@contextlib.contextmanager
def _network_errors(url: str, way_out: str) -> Iterator[None]:
    """Turn what is wrong with the network or the server into a JobError that names the URL."""
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as error:
        refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
        again = "" if refused else "give the same command again to carry on, or "
        what_to_do = again + way_out
        raise JobError(
            f"{url}: could not be fetched ({_reason(error)}). "
            f"{what_to_do[:1].upper()}{what_to_do[1:]}"
        ) from None


def _reason(error: Exception) -> str:
    """Why a file is out of reach."""
    reason = getattr(error, "reason", error)
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {reason}"
    if isinstance(reason, socket.gaierror):
        return "no network here, or no such server"
    return str(reason) or type(reason).__name__


def _name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _mb(size: int) -> int:
    """Megabytes, rounded up."""
    return -(-size // MB)
