"""Which file imports which: no circle, and no torch where there must be none.

Layers between rooms are import-linter's business (pyproject.toml). Imports inside functions count;
those that only type checkers see do not.
"""

from graphlib import TopologicalSorter

import grimp
import pytest

HEAVY = ("torch", "timm", "torchvision")


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(
        "fixres", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def test_no_circle_between_files(imports):
    direct = {m: set(imports.find_modules_directly_imported_by(m)) for m in imports.modules}
    tuple(TopologicalSorter(direct).static_order())  # its CycleError lists the files of a circle


def test_the_catalogue_imports_no_torch_not_even_in_a_function(imports):
    catalogue = imports.find_descendants("fixres.models.catalogue")
    assert catalogue
    for module in catalogue:
        for heavy in HEAVY:
            assert imports.find_shortest_chain(module, heavy) is None, module
