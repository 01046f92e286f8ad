"""What the jobs of a custom network must know of it, in place of an entry of the zoo."""

from fixres.config import ConfigError
from fixres.config.custom import CustomNetwork
from fixres.graph.checks import expanded
from fixres.graph.outside import code_digest
from fixres.models import code

# What shapes no result. `other_heads` does, where there are any.
NOT_THEIRS = {"multiply_adds", "parameters", "has_statistics", "off_stride", "other_heads"}


def custom_entry(network: CustomNetwork) -> dict:
    """The key `entry` of the resolved configurations of its jobs.

    It contains a digest of the code of the user's constructor, so an edit runs the jobs again.
    """
    entry = network.model_dump(exclude=NOT_THEIRS)
    entry |= {"other_heads": network.other_heads} if network.other_heads else {}
    # The title is shown only on the page, so a new title runs nothing again.
    entry |= {
        "path": expanded(entry["path"]),
        "weights": custom_weights(entry["weights"]),
        "title": "",
    }
    kind, module, *_ = entry["source"].split(":")
    if kind == "python":
        key, path = "custom.network.source", entry["path"]
        entry["code"] = code_digest(path, module, key)
        if not entry["code"]:
            raise ConfigError(
                f"{key}: no such module (got '{entry['source']}' with path '{network.path}', "
                f"expected {code.file_of(path, module)}). Set custom.network.path to the folder "
                "that holds the package or module."
            )
    return entry


def custom_weights(weights: str) -> str:
    """The weights of such a network: "pretrained", "none", hf-hub:…, or the path of their file."""
    is_name = weights in ("pretrained", "none") or weights.startswith("hf-hub:")
    return weights if is_name else expanded(weights)
