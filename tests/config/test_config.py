"""config.yaml: names, types, ranges.

Every error names the key, what was found, what was expected and what to do.
"""

import datetime
import math
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from fixres import config
from fixres.config import ConfigError, load, parse
from fixres.paper import plan_of
from shared import NETWORK

ROOT = Path(__file__).parent.parent.parent


def test_the_schema_for_editors_is_the_code():
    """Run `python -m fixres schema > configs/schema.json` after any change of a section."""
    assert (ROOT / config.SCHEMA_FILE).read_text(encoding="utf-8") == config.json_schema()


def test_config_yaml_says_what_the_schema_allows():
    import jsonschema

    schema = yaml.safe_load(config.json_schema())
    for file in [ROOT / "config.yaml", *(ROOT / "configs").glob("*.yaml")]:
        jsonschema.validate(yaml.safe_load(file.read_text(encoding="utf-8")), schema)


def test_every_setting_has_an_effect():
    """Each key of the schema is read in the package or the rules: no option does nothing."""
    package = ROOT / "src/fixres"
    files = [p for p in package.rglob("*.py") if package / "config" not in p.parents]
    files += (ROOT / "rules").glob("*.smk")
    code = "".join(p.read_text() for p in files)

    def keys(section):
        for name, field in section.model_fields.items():
            yield name
            for kind in [field.annotation, *get_args(field.annotation)]:
                if isinstance(kind, type) and issubclass(kind, config.Section):
                    yield from keys(kind)

    by_split = {"train_images", "val_images"}  # read as f"{split}_images"
    unread = [k for k in keys(config.Config) if not re.search(rf"\b{k}\b", code)]
    assert set(unread) <= by_split


LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            {"base_training": {"epoch": 3}},
            ["base_training.epoch", "unknown key", "Did you mean 'epochs'?"],
        ),
        ({"base_trainig": {}}, ["base_trainig", "Did you mean 'base_training'?"]),
        (
            {"fine_tuning": {"lr": "1e-3"}},
            ["fine_tuning.lr", "'1e-3' of type str", "write 0.001", "without quotes"],
        ),
        ({"fine_tuning": {"lr": "1e-7"}}, ["write 1.0e-07"]),
        (
            {"base_training": {"epochs": "12"}},
            ["base_training.epochs", "'12' of type str", "quotes"],
        ),
        (
            {"base_training": {"epochs": 1.5}},
            ["base_training.epochs", "1.5 of type float", "integer"],
        ),
        ({"base_training": {"epochs": True}}, ["base_training.epochs", "True of type bool"]),
        ({"table5": {"k_test": [32, 0]}}, ["table5.k_test.1", "0 of type int", "greater than 0"]),
        ({"table5": {"k_test": []}}, ["table5.k_test", "at least 1"]),
        ({"table5": {"k_test": [32, 32]}}, ["table5.k_test", "duplicate value 32"]),
        ({"table5": {"k_train_adapted": [64]}}, ["table5.k_train_adapted", "[64]", "Add it there"]),
        ({"datasets": {"pinhole": {"source": "cars"}}}, ["datasets.pinhole.root", "missing"]),
        (
            {"datasets": {"pinhole": {"root": "/x", "rendered": {}}}},
            ["datasets.pinhole", "root and rendered"],
        ),
        (
            {"datasets": {"pinhole": {"rendered": {"train_image": 3}}}},
            ["datasets.pinhole.rendered.train_image", "Did you mean 'train_images'?"],
        ),
        (
            {"datasets": {"../other": {"rendered": {}}}},
            ["datasets.../other", "expected text that matches pattern"],
        ),
        ({"dataset": "pinhol"}, ["dataset", "'pinhol'", "Did you mean 'pinhole'?"]),
        ({"transfer": {"datasets": {"cars": "car"}}}, ["transfer.datasets.cars", "'car'"]),
        (
            {"networks": {"senet154": {"fine_tuning": {"lrr": 1}}}},
            ["networks.senet154.fine_tuning.lrr", "Did you mean 'lr'?"],
        ),
        (
            {"networks": {"senet154": {"fine_tuning_on": {"test DA2": {"lrr": 1}}}}},
            ["networks.senet154.fine_tuning_on.test DA2.lrr", "Did you mean 'lr'?"],
        ),
        (
            {"networks": {"senet154": {"fine_tuning_on": {"test DA 2": {"lr": 1.0}}}}},
            ["networks.senet154.fine_tuning_on.test DA 2", "'train DA', 'test DA' or 'test DA2'"],
        ),
        (
            {"networks": {"senet154": {"fine_tuning_on": {"test DA": {"augmentation": "x"}}}}},
            ["networks.senet154.fine_tuning_on.test DA.augmentation", "Remove this line"],
        ),
        (
            {"networks": {"senet154": {"base_training": {"lr_per_256": "1e-1"}}}},
            ["networks.senet154.base_training.lr_per_256", "write 0.1"],
        ),
        (
            {"transfer": {"training": {"epochs": 0}}},
            ["transfer.training.epochs", "greater than or equal to 1"],
        ),
        (
            {"networks": {"senet154": {"weights": {"url": "https://x"}}}},
            ["networks.senet154.weights.sha256", "sha256sum"],
        ),
        (
            {"networks": {"senet154": {"weights": {}}}},
            ["networks.senet154.weights", "got nothing, expected one of file, url"],
        ),
        (
            {"networks": {"senet154": {"weights": {"file": "x", "timm": "y"}}}},
            ["networks.senet154.weights", "file, timm"],
        ),
        ({"hardware": {"loader": "cv2"}}, ["hardware.loader", "'cv2'", "dali"]),
        (
            {"datasets": {"pinhole": {"rendered": {"shorter_side": [90, 60]}}}},
            ["rendered.shorter_side", "[90, 60]", "smaller"],
        ),
        (
            {"base_training": {"augmentation": {"area": [0.0, 1.0]}}},
            ["base_training.augmentation.area", "more than 0"],
        ),
        ({"scale": None}, ["scale", "None"]),
        ({"hardware": None}, ["hardware: invalid value (got None", "Add keys below it, or remove"]),
        ({"seeds": 3}, ["seeds: invalid value (got 3 of type int", "Put it in [ ]"]),
        ({"scale": 2020}, ["scale: invalid value (got 2020 of type int", "Put it in quotes"]),
        # What becomes part of a path.
        ({"datasets": {"x" * 300: {"rendered": {}}}}, ["datasets.xxx", "at most 64 characters"]),
        ({"protocol": "x" * 65}, ["protocol: invalid value (got 'xxx", "at most 64 characters"]),
        ({"scale": "a\nb"}, ["scale: contains the control character '\\n' (got 'a\\nb'"]),
        ({"datasets": {"a\0": {}}}, ["datasets.a\\x00", "control character '\\x00'"]),
        ({"datasets": {"pinhole": {"root": "\ud800"}}}, ["datasets.pinhole.root", "'\\ud800'"]),
        # Numbers.
        (
            {"hardware": {"cache_gb": math.inf}},
            ["hardware.cache_gb: not finite (got inf", "finite number"],
        ),
        (
            {"networks": {"senet154": {"fine_tuning": {"lr": math.nan}}}},
            ["fine_tuning.lr", "finite"],
        ),
        ({"hardware": {"hours": {"train": 1e300}}}, ["hardware.hours.train", "1e-18 and 1e+18"]),
        (
            {"fine_tuning": {"epochs": 10**5000}},
            ["fine_tuning.epochs: out of range (got 0x", "1e+18"],
        ),
        ({"seeds": [2**32]}, ["seeds.0: invalid value (got 4294967296", "less than 4294967296"]),
        (
            {"datasets": {"pinhole": {"rendered": {"seed": 2**64}}}},
            ["datasets.pinhole.rendered.seed", "expected a number between"],
        ),
        ({"hardware": {"processes": 10**6}}, ["hardware.processes", "less than or equal to 1024"]),
        # Of other types than YAML's text, numbers, lists and mappings.
        (
            {"scale": datetime.date(2020, 1, 1)},
            ["scale: invalid type (got datetime.date", "text in quotes"],
        ),
        ({1: 2}, ["1: invalid key (got 1 of type int", "quotes"]),
        ({"seeds": LOOP}, ["seeds.0: an alias (*)", "Remove it"]),
        # Images.
        (
            {"datasets": {"pinhole": {"rendered": {"hues": ["red", "red"]}}}},
            ["datasets.pinhole.rendered.hues", "duplicate value red"],
        ),
        (
            {"datasets": {"pinhole": {"rendered": {"hues": ["mauve"]}}}},
            ["datasets.pinhole.rendered.hues.0: invalid value (got 'mauve'", "'violet' or 'pink'"],
        ),
        (
            {"datasets": {"pinhole": {"rendered": {"hues": ["red"], "silhouettes": ["bar"]}}}},
            [
                "datasets.pinhole.rendered.hues",
                "got 1 from silhouettes × hues, expected at least 2",
            ],
        ),
        (
            {"datasets": {"pinhole": {"rendered": {"val_images": 23}}}},
            ["datasets.pinhole.rendered.val_images: too few images (got 23", "each of 24 classes"],
        ),
        (
            {"datasets": {"pinhole": {"rendered": {}, "limit": {"val": 9}}}},
            [
                "evaluation.folds: too many (got 10",
                "at most the 9 validation images of datasets.pinhole",
            ],
        ),
    ],
)
def test_bad_values(content, expected):
    with pytest.raises(ConfigError) as caught:
        parse(content)
    for part in expected:
        assert part in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        parse({"seeed": 1, "base_training": {"epochs": 0}})
    assert "seeed" in str(caught.value)
    assert "base_training.epochs" in str(caught.value)


HOW_TO_ADD_A_NETWORK = ["name of the zoo", "docs/networks.md", "timm or torchvision is one entry"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"table5": {"k_test": [30]}}, ["table5.k_test", "30", "multiple of 8", "Use 24 or 32"]),
        ({"table5": {"k_train": [4], "k_train_adapted": []}}, ["table5.k_train", "Use 8"]),
        (
            {"network": "resnet05q"},
            ["network: found 'resnet05q'", "Did you mean 'resnet", *HOW_TO_ADD_A_NETWORK],
        ),
        (
            {"network": "vgg16_bn"},
            ["network: found 'vgg16_bn'", "known: resnet18", *HOW_TO_ADD_A_NETWORK],
        ),
        (
            {"networks": {"senet145": {}}},
            ["networks.senet145", "Did you mean 'senet154'?", *HOW_TO_ADD_A_NETWORK],
        ),
        (
            {"networks": {"senet154": {"weights": {"file": "/nowhere"}}}},
            ["networks.senet154.weights.file", "no file /nowhere"],
        ),
        (
            {"released": {"files": {"fixresnet5": "/x"}}},
            ["released.files.fixresnet5", "Did you mean 'fixresnet50'?"],
        ),
        ({"pages": {"captions": {"table55": "x"}}}, ["pages.captions.table55", "table5"]),
        (
            {"transfer": {"datasets": {"cars": "pinhole"}, "k_test": 81}},
            ["transfer.k_test: off the stride of senet14q (got 81", "Use 80 or 88"],
        ),
        ({"k_largest": 41}, ["k_largest: off the stride", "got 41", "Use 40 or 48"]),
        ({"resolution_divisor": 64}, ["resolution_divisor: too large", "got 64", "Give a smaller"]),
        (
            {"base_training": {"samples_per_epoch": 8}},
            [
                "base_training.samples_per_epoch: too few (got 8",
                "at least one batch",
                "batch_size 10",
            ],
        ),
    ],
)
def test_what_cannot_work_is_told_before_anything_runs(content, expected):
    training = {"samples_per_epoch": 1000, "batch_size": 10}
    base = {"network": "resnet10q", "base_training": training}
    with pytest.raises(ConfigError) as caught:
        plan_of(parse(config.merge(base, content)))
    for part in expected:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nscale: a\nseed: 2\n", ["line 3", "'seed'", "line 1"]),
        ("table5:\n  k_test: [32]\n  k_test: [64]\n", ["line 3", "'k_test'"]),
        ("seed: [1\n", ["not valid YAML"]),
        ("- 1\n", ["expected 'key: value'"]),
        ("seed: !!python/object/apply:os.system ['true']\n", ["line 1", "not valid YAML"]),
        ("", ["got nothing, expected 'key: value' lines"]),
        ("a: b\n\tc: d\n", ["line 2", "not valid YAML", "\\t"]),
        ("? [1]\n: 2\n", ["line 1", "unhashable key"]),
        ("seeds: [010]\n", ["line 1", "got 010", "without leading zeros"]),
        ("seeds: [1:30]\n", ["line 1", "got 1:30", "or colons"]),
        ("scale: 2020-13-45\n", ["not valid YAML: month must be in 1..12"]),
        (f"seeds: [{'9' * 5000}]\n", ["not valid YAML", "4300 digits"]),
        ("a: " + "[" * 500, ["nested too deeply"]),
        ("a: 1\nscale: caf\xe9\n", ["line 2", "not UTF-8 text", "Save it as UTF-8"]),
        ("__use_yte__: true\n", ["__use_yte__", "run code. Remove it"]),
    ],
)
def test_bad_yaml(tmp_path, text, expected):
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError) as caught:
        load(file)
    for part in [str(file), *expected]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "scale: a\nseeds: [3]\n",
        "\ufeffscale: a\r\nseeds: [3]\r\n",
        '{"scale": "a",\n\t"seeds": [3]}',
        "table5: &t {k_test: [3]}\nfigure7: {<<: *t, k_test: [4]}\n",
    ],
    ids=["lines", "a mark and Windows' lines", "JSON", "merged keys"],
)
def test_files_as_people_have_them(tmp_path, text):
    """Snakemake reads the same. A merged key is no duplicate of the key that replaces it."""
    from snakemake.common.configfile import load_configfile

    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8", newline="")
    assert config.read_yaml(file) == load_configfile(file)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml")


def test_configurations_are_laid_over_each_other(tmp_path):
    over = tmp_path / "over.yaml"
    over.write_text("base_training:\n  epochs: 3\n")
    default, changed = load(ROOT / "config.yaml"), load(ROOT / "config.yaml", over)
    assert changed.base_training.epochs == 3
    assert changed.base_training.batch_size == default.base_training.batch_size
    assert changed.table5 == default.table5


FEW = {"samples_per_epoch": None, "batch_size": 7201}  # pinhole has 7200 training images


@pytest.mark.parametrize(
    ("content", "where", "images"),
    [
        ({"base_training": FEW}, "base_training", "datasets.pinhole.rendered.train_images"),
        (
            {"networks": {"senet154": {"base_training": FEW}}},
            "networks.senet154.base_training",
            "datasets.pinhole.rendered.train_images",
        ),
        (
            {"transfer": {"training": FEW}},
            "transfer.training",
            "datasets.cars-twin.rendered.train_images",
        ),
        (
            {"weak_supervision": {"training": FEW | {"batch_size": 14401}}},
            "weak_supervision.training",
            "datasets.tags.rendered.train_images",
        ),
        (
            {"weak_supervision": {"adaptation": FEW}},
            "weak_supervision.adaptation",
            "datasets.pinhole.rendered.train_images",
        ),
        ({"weak_supervision": {"adaptation": {"samples_per_epoch": 8}}}, "adaptation", "got 8"),
    ],
)
def test_no_base_training_of_no_steps_is_planned(tmp_path, content, where, images):
    over = tmp_path / "over.yaml"
    over.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        plan_of(load(ROOT / "config.yaml", over))
    for part in (f"{where}.samples_per_epoch", f"{where}.batch_size", images):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"twins": "true"}, {"twins": True}),
        ({"seeds": [3], "twins": False}, {"seeds": [3], "twins": False}),
        ({"base_training": {"epochs": "2"}}, {"base_training": {"epochs": 2}}),
        (
            {
                "base_training": {
                    "samples_per_epoch": "null",
                    "augmentation": {"area": ["0.1", "1"]},
                }
            },
            {"base_training": {"samples_per_epoch": None, "augmentation": {"area": [0.1, 1]}}},
        ),
        ({"table5": {"k_test": ["16", "32"]}}, {"table5": {"k_test": [16, 32]}}),
        (
            {"transfer": {"training": {"epochs": "2", "schedule": "step", "augmentation": {}}}},
            {"transfer": {"training": {"epochs": 2, "schedule": "step", "augmentation": {}}}},
        ),
        (
            {"networks": {"senet154": {"weights": "null", "fine_tuning": {"lr": "0.1"}}}},
            {"networks": {"senet154": {"weights": None, "fine_tuning": {"lr": 0.1}}}},
        ),
        (
            {"datasets": {"a": {"rendered": {"hues": ["red"], "val_images": "96"}}}},
            {"datasets": {"a": {"rendered": {"hues": ["red"], "val_images": 96}}}},
        ),
        # Where a string is expected, it stays one.
        ({"protocol": "true", "scale": "null"}, {"protocol": "true", "scale": "null"}),
        ({"weak_supervision": {"dataset": "null"}}, {"weak_supervision": {"dataset": None}}),
        ({"fine_tuning": {"layers": "cls+bn"}}, {"fine_tuning": {"layers": "cls+bn"}}),
        # A wrong key is left for the schema, which tells it.
        ({"base_training": {"epoch": "2"}}, {"base_training": {"epoch": 2}}),
    ],
)
def test_values_of_the_command_line_get_the_types_of_the_schema(given, read):
    """`given` is as Snakemake reads --config: below a key, every value is a string."""
    assert config.typed(given) == read


def test_a_value_of_the_command_line_that_is_no_yaml_is_told():
    with pytest.raises(
        ConfigError, match=r"--config base_training: not valid YAML \(got \{epochs: 2\)"
    ):
        config.typed({"base_training": "{epochs: 2"})


@pytest.mark.parametrize(
    ("custom", "network", "message"),
    [
        ({"k_test": [224, 250]}, {}, "custom.k_test: .*got 250, expected a multiple .* 224 or 256"),
        ({"k_test": [224, 224]}, {}, "custom.k_test: .*duplicate value 224"),
        ({}, {"any_size": False}, "custom.k_test: .*only one size .got 288, expected 224"),
        ({"k_train": 160}, {}, "custom.k_train: no effect without custom.train: true"),
        ({}, {"weights": "none"}, "custom.network.weights: .*got none, with custom.train: false"),
        ({}, {"source": "resnet18"}, "custom.network.source"),
        ({"choice": 0.5}, {}, r"custom.choice: no longer a key: both halves .*\(got 0.5 .* Remove"),
        (
            {"crop_pct": [0.875, 0.8750001]},
            {},
            "custom.crop_pct: .*0.8750001.* both shown as 0.875",
        ),
        ({"crop_pct": [1e-9]}, {}, "custom.crop_pct.0: .*greater than or equal to 0.1"),
        ({}, {"options": {"a": [datetime.date(2020, 1, 1)]}}, "custom.network.options.a.0"),
    ],
)
def test_a_custom_network_that_cannot_be(custom, network, message):
    content = {"name": "mine", "k_test": [224, 288], "network": NETWORK | network} | custom
    with pytest.raises(ConfigError, match=message):
        parse({"custom": content})


def test_sizes_off_the_stride_are_for_networks_that_take_them():
    content = {"name": "mine", "k_test": [250], "network": NETWORK}
    with pytest.raises(ConfigError, match=r"Use 224 or 256. If .* custom.network.off_stride: true"):
        parse({"custom": content})
    content["network"] = NETWORK | {"off_stride": True, "native": 240}
    custom = parse({"custom": content}).custom
    assert custom.k_tests == custom.off_stride == [240, 250]


def test_a_native_resolution_need_not_be_a_multiple_of_the_stride():
    network = NETWORK | {"native": 299}
    custom = parse({"custom": {"name": "mine", "k_test": [320], "network": network}}).custom
    assert custom.k_tests == [299, 320]
    assert custom.ratios == [0.875, 0.95, 1.0]
