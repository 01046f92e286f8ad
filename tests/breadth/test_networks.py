"""Networks of many kinds: what is found in each, and that both cuts give its numbers (slow).

`make test-breadth` runs it; `make test` does not. Random weights, three classes, timm's smallest of
each kind. Missing: LeViT, whose batch-norms see tokens as images; the one of its stem is found.
"""

import pytest

from fixres.models import boundary
from fixres.models.custom import find, with_numbers
from fixres.models.split import split

NETWORKS = {
    # classifiers; last normalisation; native size; stride; whether it takes any size; and off it
    "vit_tiny_patch16_224": ("head", ["norm"], 224, 16, True, False),
    "swin_tiny_patch4_window7_224": ("head.fc", ["norm"], 224, 32, True, False),
    "convnext_atto": ("head.fc", ["head.norm"], 224, 32, True, True),
    "mobilenetv3_small_050": ("classifier", ["blocks.5.0.bn1"], 224, 32, True, True),
    "mobilenetv4_conv_small_035": ("classifier", ["norm_head"], 224, 32, True, True),
    "regnetx_002": ("head.fc", ["s4.b7.conv3.bn"], 224, 32, True, True),
    "densenet121": ("classifier", ["features.norm5"], 224, 32, True, True),
    "xcit_nano_12_p16_224": ("head", ["norm"], 224, 16, True, True),
    "mobilevit_xxs": ("head.fc", ["final_conv.bn"], 256, 32, True, True),
    "resnet10t": ("fc", ["layer4.0.bn2"], 176, 32, True, True),
    "vgg11_bn": ("head.fc", ["features.26"], 224, 32, True, True),
    "vgg11": ("head.fc", [], 224, 32, True, True),
    "efficientvit_b0": ("head.classifier.4", ["head.classifier.1"], 224, 32, True, True),
    "efficientvit_m0": ("head.linear", ["stages.2.blocks.2.ffn1.m.pw2.bn"], 224, 64, True, True),
    "maxvit_pico_rw_256": ("head.fc", ["norm"], 256, 32, False, False),
    "maxvit_rmlp_pico_rw_256": ("head.fc", ["norm"], 256, 32, False, False),
    "repvgg_a0": ("head.fc", ["stages.3.0.conv_kxk.bn"], 224, 32, True, True),
    "edgenext_xx_small": ("head.fc", ["head.norm"], 256, 32, True, True),
    "eva02_tiny_patch14_224": ("head", ["fc_norm"], 224, 14, True, False),
    "nf_regnet_b0": ("head.fc", [], 192, 32, True, True),
    "test_nfnet": ("head.fc", [], 160, 32, True, True),
    "deit_tiny_distilled_patch16_224": ("head_dist head", ["norm"], 224, 16, True, False),
    "inception_v3": ("fc", ["Mixed_7c.branch_pool.bn"], 299, 32, True, True),
    "tf_efficientnet_b2": ("classifier", ["bn2"], 260, 32, True, True),
    "repvit_m0_9": (
        "head.head_dist.l head.head.l",
        ["stages.3.blocks.1.channel_mixer.conv2.bn"],
        224,
        32,
        True,
        True,
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_looked_at_and_cut(name):
    heads, norm, *sizes = NETWORKS[name]
    found = find(f"timm:{name}", "none", given={"outputs": 3})
    assert [found.classifier, *found.other_heads] == heads.split()
    assert found.last_norm == norm
    assert [found.native, found.stride, found.any_size, found.off_stride] == sizes
    assert found.outputs == 3
    network = with_numbers(found.source, "", {"outputs": 3, "options": found.options})
    for layers in (heads.split(), [*norm, *heads.split()]):
        parts = split(network, layers, found.native)
        assert boundary.difference(network, parts.trunk, parts.head, found.native) is None
        assert [*parts.trainable] == [network.get_submodule(layer) for layer in layers]
