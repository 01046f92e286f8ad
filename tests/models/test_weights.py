"""Published weights: from every kind of source, checked key by key, refused by name; downloads that break off are carried on."""

import hashlib
import http.server
import json
import pickle
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fixres.jobs import JobError
from fixres.models import published, released, weights, zoo
from fixres.stages import pretrained
from shared import Harmful, fixres

NETWORK, CLASSES = "resnet10q", 24


@pytest.fixture(scope="session")
def state() -> dict[str, torch.Tensor]:
    """The state of a small network whose batch-norms have counted and moved."""
    network = zoo.build(NETWORK, CLASSES, 4)
    network.train()(torch.randn(4, 3, 16, 16))
    return {name: t.contiguous() for name, t in network.state_dict().items()}


def given(source: dict, network: str = NETWORK, classes: int = CLASSES) -> dict:
    return {
        "stage": "pretrained",
        "version": 1,
        "run": "runs/x/net-pretrained",
        "network": network,
        "source": source,
        "classes": classes,
    }


def fetch(folder: Path, source: dict, **options: object) -> tuple[dict[str, torch.Tensor], dict]:
    """Run the job; its tensors and meta."""
    (folder / "config.json").write_text(json.dumps(given(source, **options)))
    pretrained.main(
        [
            "--config",
            str(folder / "config.json"),
            "--out",
            str(folder / "out" / "weights.safetensors"),
        ]
    )
    return weights.load(folder / "out" / "weights.safetensors")


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- files -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("under", [None, "model", "state_dict"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors"])
def test_files_of_every_form(tmp_path, state, prefix, under, suffix):
    file = tmp_path / f"gewichte ä{suffix}"
    content = {prefix + name: t for name, t in state.items()}
    if suffix == ".safetensors":
        save_file(content, file)
    else:
        others = {"epoch": 7, "optimizer": {"lr": 0.1}}
        torch.save({**others, under: content} if under else content, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    tensors, meta = fetch(tmp_path, {"file": str(file), "sha256": sha256})
    assert same(tensors, state)
    assert (meta["run"], meta["sha256"], meta["source"]["file"]) == (
        "runs/x/net-pretrained",
        sha256,
        str(file),
    )
    weights.load_into(zoo.build(NETWORK, CLASSES, 0), tmp_path / "out" / "weights.safetensors")


def test_a_file_without_checksum_is_taken_and_its_checksum_kept(tmp_path, state):
    torch.save(state, tmp_path / "a.pth")
    meta = fetch(tmp_path, {"file": str(tmp_path / "a.pth"), "sha256": None})[1]
    assert meta["sha256"] == hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()
    assert meta["licence"] is None


def test_old_checkpoints_lack_the_counters_of_batch_norm(tmp_path, state):
    torch.save(
        {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")},
        tmp_path / "a.pth",
    )
    tensors, _ = fetch(tmp_path, {"file": str(tmp_path / "a.pth")})
    assert all(
        tensors[n] == 0 if n.endswith("num_batches_tracked") else torch.equal(tensors[n], t)
        for n, t in state.items()
    )


def test_half_precision_is_kept_as_the_networks_own(tmp_path, state):
    torch.save(
        {n: t.half() if t.is_floating_point() else t for n, t in state.items()}, tmp_path / "a.pth"
    )
    tensors, _ = fetch(tmp_path, {"file": str(tmp_path / "a.pth")})
    assert {n: t.dtype for n, t in tensors.items()} == {n: t.dtype for n, t in state.items()}


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("missing key", ["missing layer3.conv1.weight"]),
        ("extra key", ["unexpected layer5.weight"]),
        ("shape", ["conv1.weight is (16, 3, 5, 5), expected (16, 3, 3, 3)"]),
        ("classes", ["the classifier is for 1000 classes, expected 24"]),
        ("other network", ["does not fit QuarterResNet", "and ", " more"]),
        ("code", ["refused", "holds code", ".safetensors"]),
        ("cut", ["damaged"]),
        ("not weights", ["no network in it", "found dict with keys epoch"]),
        ("list", ["no network in it", "found list"]),
        ("empty", ["damaged"]),
        ("text", ["damaged, or not a PyTorch checkpoint"]),
        ("safetensors cut", ["damaged"]),
        ("absent", ["no such file of weights", f"weights.{NETWORK}.file"]),
        ("checksum", ["wrong checksum", "expected " + "0" * 64]),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, state, monkeypatch, damage, expected):
    monkeypatch.chdir(tmp_path)
    file, content, source = (
        tmp_path / ("a.safetensors" if "safetensors" in damage else "a.pth"),
        dict(state),
        {},
    )
    if damage == "missing key":
        del content["layer3.conv1.weight"]
    elif damage == "extra key":
        content["layer5.weight"] = torch.zeros(2)
    elif damage == "shape":
        content["conv1.weight"] = torch.zeros(16, 3, 5, 5)
    elif damage == "classes":
        content |= {"fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)}
    elif damage == "other network":
        content = zoo.build("resnet18", CLASSES, 0).state_dict()
    elif damage == "code":
        content = {"model": content, "args": Harmful()}
    elif damage == "not weights":
        content = {"epoch": 3}
    elif damage == "list":
        content = [1, 2]
    elif damage == "checksum":
        source = {"sha256": "0" * 64}
    (save_file if file.suffix == ".safetensors" else torch.save)(content, file)
    if "cut" in damage:
        file.write_bytes(file.read_bytes()[:2000])
    elif damage in ("empty", "text"):
        file.write_bytes(b"" if damage == "empty" else b"<html>404</html>")
    elif damage == "absent":
        file.unlink()
    with pytest.raises(JobError) as error:
        fetch(tmp_path, {"file": str(file)} | source)
    assert str(file) in str(error.value)
    for part in expected:
        assert part in str(error.value)
    assert not (tmp_path / "out" / "weights.safetensors").exists()
    assert not (tmp_path / "harm was done").exists()


def test_the_harmful_file_is_harmful(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Harmful()))
    assert (tmp_path / "harm was done").exists()


def test_a_message_and_no_traceback(tmp_path, state):
    torch.save(
        state | {"fc.weight": torch.zeros(1000, 128), "fc.bias": torch.zeros(1000)},
        tmp_path / "a.pth",
    )
    (tmp_path / "config.json").write_text(json.dumps(given({"file": str(tmp_path / "a.pth")})))
    result = fixres(
        "pretrained", "--config", tmp_path / "config.json", "--out", tmp_path / "w.safetensors"
    )
    assert result.returncode == 1
    assert "error in pretrained" in result.stderr
    assert "1000 classes, expected 24" in result.stderr
    assert "Traceback" not in result.stderr


# --- starting a training from weights ---------------------------------------------------------------------------------------


def test_everything_but_the_classifier(tmp_path, state):
    """Transfer learning: 24 classes become 5; what is fresh depends on the seed alone."""
    weights.save(tmp_path / "w.safetensors", state, {"run": "x"})
    network, fresh = zoo.build(NETWORK, 5, seed=9), zoo.build(NETWORK, 5, seed=9).state_dict()
    assert weights.load_into(network, tmp_path / "w.safetensors", fresh="fc") == {"run": "x"}
    loaded = network.state_dict()
    assert all(
        torch.equal(t, (fresh if n.startswith("fc.") else state)[n]) for n, t in loaded.items()
    )
    with pytest.raises(JobError, match="24 classes, expected 5"):
        weights.load_into(network, tmp_path / "w.safetensors")
    weights.save(
        tmp_path / "w.safetensors", {n: t for n, t in state.items() if n != "layer2.bn1.weight"}
    )
    with pytest.raises(JobError, match=r"missing layer2\.bn1\.weight"):
        weights.load_into(network, tmp_path / "w.safetensors", fresh="fc")


# --- downloads ---------------------------------------------------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    """Serves one file, with ranges or without; may break off after some bytes."""

    def __init__(self, content: bytes, ranges: bool = True, breaks_after: int | None = None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.breaks_after, self.asked = content, ranges, breaks_after, []
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}/net-weights.pth"

    def handle_error(self, *_: object) -> None:
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if "net-weights" not in self.path:
            self.send_error(404)
            return
        first = (
            int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
        )
        if first >= len(server.content):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(server.content) - first))
        self.end_headers()
        self.wfile.write(server.content[first : server.breaks_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve():
    servers = []

    def start(*arguments: object, **options: object) -> Server:
        servers.append(Server(*arguments, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def content(tmp_path, state) -> bytes:
    torch.save({"state_dict": state}, tmp_path / "served.pth")
    return (tmp_path / "served.pth").read_bytes()


@pytest.mark.parametrize("digits", [64, 8])
def test_a_download_is_checked_and_leaves_nothing_behind(
    tmp_path, state, serve, content, digits, capsys
):
    server, sha256 = serve(content), hashlib.sha256(content).hexdigest()
    tensors, meta = fetch(tmp_path, {"url": server.url, "sha256": sha256[:digits]})
    assert same(tensors, state)
    assert meta["sha256"] == sha256
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["weights.safetensors"]
    assert f"{len(content)}/{len(content)} bytes" in capsys.readouterr().err


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_breaks_off_is_carried_on(tmp_path, state, serve, content, ranges):
    server, half = serve(content, ranges=ranges, breaks_after=len(content) // 2), len(content) // 2
    source = {"url": server.url, "sha256": hashlib.sha256(content).hexdigest()}
    with pytest.raises(
        JobError, match=f"broke off after {half} of {len(content)} bytes.*give the command again"
    ) as error:
        fetch(tmp_path, source)
    assert server.url in str(error.value)
    server.breaks_after = None
    assert same(fetch(tmp_path, source)[0], state)
    assert server.asked == [None, f"bytes={half}-"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["weights.safetensors"]


def test_a_part_that_is_whole_already_is_not_fetched_again(
    tmp_path, state, serve, content, monkeypatch
):
    """Killed between the last byte and the check."""
    server, sha256 = serve(content), hashlib.sha256(content).hexdigest()
    file = published.download(server.url, sha256, tmp_path / "out" / "downloads", "")
    assert file.read_bytes() == content
    assert same(fetch(tmp_path, {"url": server.url, "sha256": sha256})[0], state)
    assert server.asked == [None, f"bytes={len(content)}-"]


def test_a_wrong_checksum_names_the_url_and_the_next_attempt_starts_afresh(
    tmp_path, serve, content
):
    server, source = serve(b"x" + content[1:]), {"sha256": hashlib.sha256(content).hexdigest()}
    with pytest.raises(JobError, match="wrong checksum") as error:
        fetch(tmp_path, {"url": server.url} | source)
    assert server.url in str(error.value)
    server.content = content
    fetch(tmp_path, {"url": server.url} | source)
    assert server.asked == [None, None]


def test_a_part_of_another_file_is_not_carried_on(tmp_path, state, serve, content):
    old = serve(b"y" * 5000, breaks_after=3000)
    with pytest.raises(JobError, match="broke off"):
        fetch(tmp_path, {"url": old.url, "sha256": "1" * 64})
    server = serve(content)
    assert same(
        fetch(tmp_path, {"url": server.url, "sha256": hashlib.sha256(content).hexdigest()})[0],
        state,
    )
    assert server.asked == [None]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("404", "404"), ("refused", "refused"), ("no checksum", "found checksum"), ("scheme", "net")],
)
def test_a_url_that_cannot_be_had(tmp_path, serve, content, kind, expected):
    server = serve(content)
    url, sha256 = server.url, "12345678"
    if kind == "404":
        url = url.replace("net-weights", "other")
    elif kind == "refused":
        server.shutdown()
        server.server_close()
    elif kind == "no checksum":
        sha256 = ""
    else:
        url = "net-weights.pth"
    with pytest.raises(JobError, match=expected) as error:
        fetch(tmp_path, {"url": url, "sha256": sha256})
    assert url in str(error.value)
    assert kind == "no checksum" or f"weights.{NETWORK}.file" in str(error.value)


# --- libraries ---------------------------------------------------------------------------------------------------------------


def test_a_local_hub_folder(tmp_path, state):
    folder = tmp_path / "a hub"
    folder.mkdir()
    torch.save(state, folder / "w.pth")
    (folder / "hubconf.py").write_text(
        "import torch\nfrom pathlib import Path\n\ndef net():\n    return torch.load(Path(__file__).parent / 'w.pth', weights_only=True)\n"
    )
    tensors, meta = fetch(tmp_path, {"hub": f"{folder}:net"})
    assert same(tensors, state)
    assert meta["sha256"] is None
    with pytest.raises(JobError, match=r"other.*weights\.resnet10q\.file"):
        fetch(tmp_path, {"hub": f"{folder}:other"})
    with pytest.raises(JobError, match="expected owner/repository:entry"):
        fetch(tmp_path, {"hub": "net"})


@pytest.fixture(scope="session")
def resnet18() -> dict[str, torch.Tensor]:
    return {name: t.contiguous() for name, t in zoo.build("resnet18", 1000, 2).state_dict().items()}


def test_torchvision_and_timm_out_of_their_caches(tmp_path, resnet18):
    """The files where the libraries look for what they downloaded before; no connection is made."""
    checkpoints = tmp_path / "torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(resnet18, checkpoints / "resnet18-f37072fd.pth")
    model = tmp_path / "hub/models--timm--resnet18.tv_in1k"
    (model / "refs").mkdir(parents=True)
    (model / "refs/main").write_text("1" * 40)
    (model / "snapshots" / ("1" * 40)).mkdir(parents=True)
    save_file(resnet18, model / "snapshots" / ("1" * 40) / "model.safetensors")
    places = {
        "TORCH_HOME": str(tmp_path / "torch"),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "1",
    }
    for source in ({"torchvision": "ResNet18_Weights.IMAGENET1K_V1"}, {"timm": "resnet18.tv_in1k"}):
        (tmp_path / "config.json").write_text(json.dumps(given(source, "resnet18", 1000)))
        result = fixres(
            "pretrained",
            "--config",
            tmp_path / "config.json",
            "--out",
            tmp_path / "w.safetensors",
            env=places,
        )
        assert result.returncode == 0, result.stderr
        assert same(weights.load(tmp_path / "w.safetensors")[0], resnet18)
    # and where timm has nothing and no connection
    (tmp_path / "config.json").write_text(
        json.dumps(given(zoo.ZOO["resnet50"].source, "resnet50", 1000))
    )
    result = fixres(
        "pretrained",
        "--config",
        tmp_path / "config.json",
        "--out",
        tmp_path / "v.safetensors",
        env=places,
    )
    assert result.returncode == 1
    for part in ("timm resnet50.tv_in1k", "could not be fetched", "weights.resnet50.file"):
        assert part in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "source",
    [
        {"timm": "ig_resnext101_32x16d"},  # stands for the weights of 32x8d
        {"timm": "resnext101_32x48d.fb_wsl_ig1b_ft_in1k"},
        {"timm": "resnet50.no_such_tag"},
        {"timm": "resnet50"},  # whatever timm now takes for the best
        {"torchvision": "ResNet50_Weights.IMAGENET1K_V9"},
        {"torchvision": "resnet50"},
    ],
)
def test_a_name_that_stands_for_other_weights_or_none(tmp_path, source):
    with pytest.raises(JobError, match="no weights of") as error:
        fetch(tmp_path, source)
    assert next(iter(source.values())) in str(error.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [("resnext101_32x8d_wsl", True), ("resnet50_billion_224", True), ("resnet50", False)],
)
def test_non_commercial_weights_say_so(tmp_path, monkeypatch, name, told, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(JobError):
        fetch(tmp_path, {"file": str(tmp_path / "absent.pth")}, network=name, classes=1000)
    assert ("non-commercial use only (CC BY-NC 4.0)" in capsys.readouterr().err) == told


# --- the authors' released weights ------------------------------------------------------------------------------------------


def cadene_pnasnet() -> set[str]:
    """The names of the parameters of the authors' PNASNet (Cadene's port): written down from the layers that its definition lists."""
    names = {"last_linear.weight", "last_linear.bias"}

    def conv(name: str) -> set[str]:
        return {f"{name}.weight"}

    def bn(name: str) -> set[str]:
        return {
            f"{name}.{part}"
            for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        }

    def separable(name: str) -> set[str]:
        halves = {
            f"{name}.separable_{i}.{part}_conv2d.weight"
            for i in (1, 2)
            for part in ("depthwise", "pointwise")
        }
        return halves | bn(f"{name}.bn_sep_1") | bn(f"{name}.bn_sep_2")

    def conv_bn(name: str) -> set[str]:
        return conv(f"{name}.conv") | bn(f"{name}.bn")

    separables = ("0_left", "1_left", "2_left", "2_right", "3_left", "4_left")
    cells = {
        "cell_stem_0": "stem",
        "cell_stem_1": "match reduce",
        "cell_0": "match",
        "cell_4": "reduce",
        "cell_5": "match",
    }
    cells |= {"cell_8": "reduce", "cell_9": "match"}
    names |= conv_bn("conv_0")
    for cell in ["cell_stem_0", "cell_stem_1", *(f"cell_{i}" for i in range(12))]:
        kind = cells.get(cell, "")
        names |= conv_bn(f"{cell}.conv_1x1")
        for branch in separables:
            names |= separable(f"{cell}.comb_iter_{branch}")
        if kind == "stem":
            names |= conv_bn(f"{cell}.comb_iter_0_right")
        elif "match" in kind:
            previous = f"{cell}.conv_prev_1x1"
            names |= (
                conv(f"{previous}.path_1.conv")
                | conv(f"{previous}.path_2.conv")
                | bn(f"{previous}.final_path_bn")
            )
        else:
            names |= conv_bn(f"{cell}.conv_prev_1x1")
        if kind == "stem" or "reduce" in kind:
            names |= conv_bn(f"{cell}.comb_iter_4_right")
    return names


def resnet_names(blocks: tuple[int, ...]) -> set[str]:
    """The names of the parameters of the authors' ResNets (torchvision's of 2019)."""
    convs, norms = {"conv1"}, {"bn1"}
    for stage, n in enumerate(blocks, 1):
        for block in range(n):
            convs |= {f"layer{stage}.{block}.conv{i}" for i in (1, 2, 3)}
            norms |= {f"layer{stage}.{block}.bn{i}" for i in (1, 2, 3)}
        convs.add(f"layer{stage}.0.downsample.0")
        norms.add(f"layer{stage}.0.downsample.1")
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return (
        {f"{c}.weight" for c in convs}
        | {f"{n}.{p}" for n in norms for p in parts}
        | {"fc.weight", "fc.bias"}
    )


@pytest.mark.parametrize(
    ("network", "names"),
    [
        ("pnasnet5large", cadene_pnasnet()),
        ("resnet50", resnet_names((3, 4, 6, 3))),
        ("resnet50_cutmix", resnet_names((3, 4, 6, 3))),
        ("resnext101_32x48d_wsl", resnet_names((3, 4, 23, 3))),
    ],
)
def test_the_authors_released_weights_fit(network, names):
    """Their form: `module.` before every name, under `model`, beside the optimiser; a state made of their names alone."""
    outline = zoo.outline(network, 1000)
    shapes = {name: t.shape for name, t in outline.state_dict().items()}
    assert names == set(shapes)
    made = {f"module.{name}": torch.empty(shapes[name], device="meta") for name in sorted(names)}
    tensors = published.unwrapped({"epoch": 1, "model": made, "optimizer": {}}, "released.pth")
    weights.check(tensors, outline, "released.pth")
    assert {row.network for row in released.RELEASED.values()} >= {network}
