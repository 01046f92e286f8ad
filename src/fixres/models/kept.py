"""Networks of timm with their configuration beside them: in a folder, or on the Hugging Face Hub.

    timm:local-dir:PATH        a folder as timm's save_for_hf writes it
    timm:hf-hub:USER/NAME      the same on the Hub; @REVISION may follow

config.json says which network it is, with which arguments it is built, and how it looks at images.
From there on it is a network of timm's like any other, whose weights are a file, or a commit on the
Hub: its hash is content.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from fixres.jobs import JobError, log
from fixres.jobs.quoting import visible
from fixres.models.construct import HUB, architecture_of

FOLDER, ON_HUB = "timm:local-dir:", f"timm:{HUB}"
# Where weights are looked for, first to last, as timm does.
FILES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
ENDINGS = (".safetensors", ".pth", ".pth.tar", ".bin")
NEVER = ("num_classes", "in_chans")  # arguments that the suite gives itself, or cannot give


class Kept(NamedTuple):
    """What such a folder says.

    Attributes
    ----------
    source : timm:ARCHITECTURE.
    weights : the file of weights, hf-hub:USER/NAME@COMMIT, or what was asked for in place of them.
    title : what the page calls the network.
    stated : of mean, std, native, crop_pct, crop_mode, outputs and channels.
    arguments : of the constructor.
    """

    source: str
    weights: str
    title: str
    stated: dict[str, Any]
    arguments: dict[str, Any]


def look(source: str, weights: str) -> Kept | None:
    """What is kept beside a network; None of another source.

    `weights` are those that are asked for: "pretrained" are the ones that are kept there. Raises
    JobError, which says what to give.
    """
    if source.startswith(FOLDER):
        name = source.removeprefix(FOLDER)
        file = Path(name).expanduser().absolute() / "config.json"
        if not file.is_file():
            raise JobError(
                f"{source}: no file {file} (expected a folder as timm's save_for_hf writes it). "
                "Correct the path"
            )
        own = str(_weights_in(file.parent)) if weights == "pretrained" else weights
        return _said(source, name, file, own)
    if source.startswith(ON_HUB):
        file = config_on_hub(source)
        name = source.removeprefix(ON_HUB).partition("@")[0]
        # …/snapshots/COMMIT/config.json: from here on no other commit is taken.
        own = f"{HUB}{name}@{file.parent.name}" if weights == "pretrained" else weights
        return _said(source, name, file, own)
    return None


def config_file(source: str) -> Path | None:
    """The config.json of such a network, once it has been looked at."""
    if source.startswith(FOLDER):
        return Path(source.removeprefix(FOLDER)).expanduser().absolute() / "config.json"
    return config_on_hub(source) if source.startswith(ON_HUB) else None


def config_on_hub(source: str) -> Path:
    """The config.json of a network on the Hub, in the cache of huggingface_hub."""
    from timm.models import _hub

    try:
        return Path(_hub.download_from_hf(source.removeprefix(ON_HUB), "config.json"))
    except (Exception, SystemExit) as error:  # its HTTP client has many
        reason = visible(next(iter(str(error).splitlines()), ""))
        raise JobError(
            f"{source}: its config.json could not be fetched ({type(error).__name__}: {reason}). "
            "Correct the name; or get the repository where there is a network (hf download), and "
            f"give {FOLDER}FOLDER"
        ) from error


def _said(source: str, name: str, file: Path, weights: str) -> Kept:
    """What a config.json says, as timm understands it."""
    from timm.data import resolve_data_config
    from timm.models import _hub

    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        stated, architecture, arguments = _hub._parse_model_cfg(content, {})
        architecture_of(f"timm:{architecture}")
        data = resolve_data_config(pretrained_cfg=stated | {"architecture": architecture})
        channels, height, width = data["input_size"]
        known = {"mean": list(data["mean"]), "std": list(data["std"]), "native": width}
        known |= {"crop_pct": float(data["crop_pct"]), "crop_mode": str(data["crop_mode"])}
        known |= {"outputs": int(stated.get("num_classes") or 1000), "channels": channels}
        arguments = {key: value for key, value in (arguments or {}).items() if key not in NEVER}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        problem = visible(f"{type(error).__name__}: {error}")
        raise JobError(
            f"{file}: no configuration of timm's ({problem}; expected architecture and "
            "pretrained_cfg, as save_for_hf writes them). Correct the file"
        ) from None
    if height != width:
        raise JobError(f"{source}: takes {height}×{width} px, expected square crops")
    return Kept(f"timm:{architecture}", weights, f"{architecture} of {name}", known, arguments)


def _weights_in(folder: Path) -> Path:
    """The file of weights in a folder."""
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    for ending in ENDINGS:
        if files := sorted(folder.glob(f"*{ending}")):
            if files[1:]:
                log(f"{folder}: of {len(files)} files with weights, {files[0].name} was taken")
            return files[0]
    raise JobError(
        f"{folder}: no weights in it (expected {FILES[0]}, or another file that ends in "
        f"{', '.join(ENDINGS)}). Put them there, or give --weights FILE"
    )
