# make table5   set up, then the paper's central table (results/table5.md) and figure (results/figure5.svg)
# make tables   set up, then every table of the paper (results/summary.md)
# make docs     set up, then Table 5 with five seeds; its numbers and two figures into README.md, docs/
# make tiny     set up, then the same on ImageNet's photographs at 64 px, five seeds (docs/tiny-imagenet.md)
# make fashion  set up, then Table 5, Figure 5 and the claims on Fashion-MNIST, five seeds
# make site     set up, then the documentation with search and reference, to read offline: site/index.html
# make test     set up, then every check but the slow ones:
# make test-faults   kills, full disks, damaged files, hostile input (docs/reliability.md)
# make test-breadth  timm's networks of many kinds: what is found in each, and that it can be cut
# make test-slurm    profiles/slurm on a SLURM of its own, as root on Debian (docs/cluster.md)
# After the first of them, use Snakemake directly: `. .venv/bin/activate`, then `snakemake results/table5.md --cores all`.

BIN := .venv/bin
READY := .venv/.ready
SITE_READY := .venv/.site-ready
LOCK := envs/requirements.lock
# The validator of results/ro-crate, in a separate environment (envs/crate-check.in).
CRATE_CHECK := .venv/crate-check
# Where Debian's package dataset-fashion-mnist puts the images.
export FASHION_MNIST ?= /usr/share/datasets/fashion-mnist

.PHONY: table5 tables docs site tiny docs-tiny fashion docs-fashion test test-faults test-breadth test-slurm bench lint lock setup

table5: setup
	$(BIN)/snakemake results/table5.md results/figure5.svg --cores all

tables: setup
	$(BIN)/snakemake tables --cores all

docs: setup
	$(BIN)/snakemake results/table5.md results/figure1.svg --cores all --configfile configs/seeds.yaml
	$(BIN)/python docs/build.py

tiny: setup
	$(BIN)/snakemake results/table5.md results/figure5.svg --cores all --configfile configs/tiny.yaml configs/seeds.yaml
	$(BIN)/python docs/build.py compare tiny

docs-tiny: setup
	$(BIN)/snakemake all --cores all --configfile configs/tiny.yaml configs/seeds.yaml
	$(BIN)/python docs/build.py tiny

fashion: setup
	$(BIN)/snakemake results/table5.md results/figure5.svg results/claims.md --cores all \
		--configfile configs/fashion.yaml configs/seeds.yaml

docs-fashion: fashion
	$(BIN)/python docs/build.py fashion

site: $(SITE_READY)
	$(BIN)/python docs/website/build_site.py site

# Two processes. A file stays in one of them, so what its tests share is made once.
TWO := -n 2 --dist loadfile --no-loadscope-reorder

test: lint $(SITE_READY) $(CRATE_CHECK)
	$(BIN)/python -m pytest $(TWO)

test-faults: setup
	$(BIN)/python -m pytest tests/faults $(TWO)

test-breadth: setup
	$(BIN)/python -m pytest tests/breadth

test-slurm: setup
	$(BIN)/python -m pytest tests/slurm

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/python docs/prose.py

bench: setup
	$(BIN)/python benchmarks/where_time_goes.py
	$(BIN)/python benchmarks/loaders.py
	$(BIN)/python benchmarks/manifest.py
	$(BIN)/python benchmarks/side_by_side.py
	$(BIN)/python benchmarks/growth.py
	test -z "$(IMAGES)" || $(BIN)/python benchmarks/recommend.py "$(IMAGES)"

setup: $(READY)

$(READY): $(LOCK) envs/pillow.lock envs/setup.sh pyproject.toml
	sh envs/setup.sh

$(CRATE_CHECK): envs/crate-check.lock | setup
	$(BIN)/uv venv -q --clear $@
	$(BIN)/uv pip install -q --python $@/bin/python --require-hashes --no-deps -r $<
	touch $@

# What builds the site is added to the environment, and changes nothing in it.
$(SITE_READY): $(READY) envs/docs.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --compile-bytecode --require-hashes -r envs/docs.lock
	touch $@

# Pin again, to the newest that envs/*.in allow. Names, versions and hashes only: no address of an index.
lock:
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade --overrides envs/overrides.txt envs/requirements.in -o $(LOCK)
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade envs/pillow.in -o envs/pillow.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade -c $(LOCK) envs/docs.in -o envs/docs.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--upgrade envs/crate-check.in -o envs/crate-check.lock
