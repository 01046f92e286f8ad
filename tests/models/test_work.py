"""models/catalogue/work.csv: what is counted once is what counting gives."""

import csv
import subprocess
import sys

import pytest

from fixres.models import counting
from fixres.models.catalogue import work
from fixres.models.catalogue.zoo import ZOO
from shared import ENVIRONMENT


def test_every_network_of_the_zoo_is_in_the_table():
    with open(work.TABLE, newline="", encoding="utf-8") as f:
        lines = {(line["network"], line["layers"]) for line in csv.DictReader(f)}
    assert lines == {(network, layers) for network in ZOO for layers in work.SPLITS}


@pytest.mark.parametrize("layers", work.SPLITS)
@pytest.mark.parametrize("network", ["resnet10q", "pnasnetq", "efficientnetq", "resnet50"])
def test_the_table_says_what_counting_gives(network, layers):
    parts = tuple(layers.split("+"))
    assert counting.work_of(network, parts) == counting.count(network, list(parts))


@pytest.mark.parametrize("network", ["resnet18", "pnasnet5large", "senet14q"])
def test_parameters(network):
    assert counting.parameters_of(network) == counting.count_parameters(network)


def test_work_grows_with_the_area():
    whole = counting.work_of("resnet50", ("classifier",))
    assert whole.at(448, 224) == pytest.approx([4 * value for value in whole])


def test_costs_need_no_torch():
    """Snakemake itself estimates how long a run takes: importing torch would cost a second."""
    code = (
        "import sys; from fixres.graph.costs import Costs;"
        "from fixres.models.counting import work_of;"
        "work_of('resnet10q', ('classifier',)); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT)
