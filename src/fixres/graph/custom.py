"""What the jobs of a custom network must know of it, in place of an entry of the zoo."""

from fixres.config import ConfigError
from fixres.config.custom import CustomNetwork
from fixres.graph.checks import expanded
from fixres.models import code


def custom_entry(network: CustomNetwork) -> dict:
    """The key `entry` of the resolved configurations of its jobs.

    Of a constructor of the user's, a digest of its code is part of it: an edit runs its jobs again.
    """
    entry = network.model_dump(exclude={"multiply_adds", "parameters", "has_statistics"})
    # Its title stands on the page alone: another one runs nothing again.
    entry |= {
        "path": expanded(entry["path"]),
        "weights": custom_weights(entry["weights"]),
        "title": "",
    }
    kind, module, *_ = entry["source"].split(":")
    if kind == "python":
        entry["code"] = _code_digest(network, entry["path"], module)
    return entry


def _code_digest(network: CustomNetwork, path: str, module: str) -> str:
    key = "custom.network.source"
    try:
        found = code.digest(path, module)
    except SyntaxError as error:
        place = f"{error.filename}, line {error.lineno}"
        raise ConfigError(f"{key}: {place}: {error.msg}. Correct the file") from None
    except OSError as error:
        raise ConfigError(f"{key}: {error.filename}: cannot be read ({error.strerror})") from None
    if not found:
        expected = f"expected {code.file_of(path, module)}"
        raise ConfigError(
            f"{key}: found '{network.source}' with path '{network.path}'; "
            f"{expected}; custom.network.path is the folder that holds the package or module"
        )
    return found


def custom_weights(weights: str) -> str:
    """The weights of such a network: "pretrained", "none", or the path of their file."""
    return weights if weights in ("pretrained", "none") else expanded(weights)
