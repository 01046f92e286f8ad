"""What the jobs of a custom network must know of it, in place of an entry of the zoo."""

import importlib.util
from pathlib import Path

from fixres.config import ConfigError
from fixres.config.custom import CustomNetwork
from fixres.graph.checks import expanded
from fixres.jobs import digest


def custom_entry(network: CustomNetwork) -> dict:
    """The key `entry` of the resolved configurations of its jobs.

    Of a constructor of the user's, a digest of its file is part of it: an edit runs its jobs again.
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
        file = code_file(entry["path"], module)
        if not file.is_file():
            expected = f"expected {file}"
            raise ConfigError(
                f"custom.network.source: found '{entry['source']}' with path '{network.path}'; "
                f"{expected}; custom.network.path is the folder that holds the package or module"
            )
        entry["code"] = digest(file.read_bytes())
    return entry


def custom_weights(weights: str) -> str:
    """The weights of such a network: "pretrained", "none", or the path of their file."""
    return weights if weights in ("pretrained", "none") else expanded(weights)


def code_file(path: str, module: str) -> Path:
    """The file of a Python module below the folder `path`, or where Python finds it without one."""
    if not path:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:  # of the package that should hold it
            found = None
        return Path(found.origin) if found and found.origin else Path(f"{module}.py")
    file = Path(path, *module.split("."))
    package = file / "__init__.py"
    return package if package.is_file() else file.with_suffix(".py")
