"""timm networks that are stored with their configuration: in a folder, or on the Hugging Face Hub.

    timm:local-dir:PATH        a folder as written by timm's save_for_hf
    timm:hf-hub:USER/NAME      the same on the Hub; @REVISION may follow

config.json names the architecture, its constructor's arguments and the preparation of images. From
there on it is a timm network like any other, whose weights are a file, or a commit on the Hub,
whose hash identifies the content.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from fixres.jobs import JobError, log
from fixres.jobs.quoting import visible
from fixres.models.construct import HUB, architecture_of

FOLDER, ON_HUB = "timm:local-dir:", f"timm:{HUB}"
# Names of the weights file, in the order in which timm searches.
FILES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
ENDINGS = (".safetensors", ".pth", ".pth.tar", ".bin")
NEVER = ("num_classes", "in_chans")  # arguments that the suite sets, or does not support


class Kept(NamedTuple):
    """The content of such a folder.

    Attributes
    ----------
    source : timm:ARCHITECTURE.
    weights : the weights file, hf-hub:USER/NAME@COMMIT, or what was requested instead.
    title : the name of the network on the page.
    stated : mean, std, native, crop_pct, crop_mode, outputs and channels.
    arguments : of the constructor.
    """

    source: str
    weights: str
    title: str
    stated: dict[str, Any]
    arguments: dict[str, Any]


def look(source: str, weights: str) -> Kept | None:
    """The configuration that is stored with a network; None for other sources.

    `weights` are the requested weights; "pretrained" means the weights stored there. Raises
    JobError, which says what to give.
    """
    if source.startswith(FOLDER):
        name = source.removeprefix(FOLDER)
        file = Path(name).expanduser().absolute() / "config.json"
        if not file.is_file():
            raise JobError(
                f"{source}: no file {file} (expected a folder as written by timm's save_for_hf). "
                "Correct the path."
            )
        own = str(_weights_in(file.parent)) if weights == "pretrained" else weights
        return _said(source, name, file, own)
    if source.startswith(ON_HUB):
        file = config_on_hub(source)
        name = source.removeprefix(ON_HUB).partition("@")[0]
        # …/snapshots/COMMIT/config.json: from here on, this commit is used.
        own = f"{HUB}{name}@{file.parent.name}" if weights == "pretrained" else weights
        return _said(source, name, file, own)
    return None


def config_file(source: str) -> Path | None:
    """The config.json of such a network, if its source has one."""
    if source.startswith(FOLDER):
        return Path(source.removeprefix(FOLDER)).expanduser().absolute() / "config.json"
    return config_on_hub(source) if source.startswith(ON_HUB) else None


def config_on_hub(source: str) -> Path:
    """The config.json of a network on the Hub, in the cache of huggingface_hub."""
    from timm.models import _hub

    try:
        return Path(_hub.download_from_hf(source.removeprefix(ON_HUB), "config.json"))
    except (Exception, SystemExit) as error:  # its HTTP client raises many
        reason = visible(next(iter(str(error).splitlines()), ""))
        raise JobError(
            f"{source}: its config.json could not be fetched ({type(error).__name__}: {reason}). "
            "Correct the name; or download the repository on a machine with internet access (hf "
            f"download), and give {FOLDER}FOLDER."
        ) from error


def _said(source: str, name: str, file: Path, weights: str) -> Kept:
    """The content of a config.json, as timm reads it."""
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
            f"{file}: not a timm configuration ({problem}; expected architecture and "
            "pretrained_cfg, as written by save_for_hf). Correct the file."
        ) from None
    if height != width:
        raise JobError(
            f"{source}: input is not square (got {height}×{width} px, expected square crops). "
            "Take another network."
        )
    return Kept(f"timm:{architecture}", weights, f"{architecture} of {name}", known, arguments)


def _weights_in(folder: Path) -> Path:
    """The weights file in a folder."""
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    for ending in ENDINGS:
        if files := sorted(folder.glob(f"*{ending}")):
            if files[1:]:
                log(f"{folder}: {len(files)} files with weights; using {files[0].name}")
            return files[0]
    raise JobError(
        f"{folder}: contains no weights (expected {FILES[0]}, or another file that ends in "
        f"{', '.join(ENDINGS)}). Put them there, or give --weights FILE."
    )
