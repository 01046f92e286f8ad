"""The graph: ids and what the rules may run, for any names of pages, networks, datasets."""

import re

import numpy as np
import pytest

from fixres import paper
from fixres.artifacts import per_image
from fixres.config import ConfigError, load, merge, parse
from fixres.data import regions
from fixres.graph.api import Accuracy, JobGraph, Page, grid, line, resolutions
from fixres.graph.asking import fine_tuning, finetune, match, obtain_published, time_step, train
from fixres.graph.declare import measurements
from fixres.graph.patterns import any_of, ids
from fixres.models.catalogue import zoo
from fixres.paper.subjects import main_subject
from shared import ROOT, configs, digests, needed


def rules_that_make(graph: JobGraph, job) -> list[str]:
    """The rules that would make the first output of a job."""
    rules = {one.rule for one in graph.jobs.values()}
    return [rule for rule in sorted(rules) if re.fullmatch(ids(graph, rule), job.id)]


@pytest.mark.parametrize("over", [[], ["configs/smoke.yaml"], ["configs/imagenet.yaml"]])
def test_every_file_is_made_by_exactly_one_rule(over, tmp_path, monkeypatch):
    for name in ("IMAGENET", "CARS", "CUB", "FLOWERS", "PETS", "BIRDSNAP"):
        monkeypatch.setenv(name, str(tmp_path))
    plan = paper.plan_of(load(ROOT / "config.yaml", *(ROOT / file for file in over)))
    for job in plan.jobs.values():
        assert rules_that_make(plan, job) == [job.rule], job.id
    files = [file for job in plan.jobs.values() for file in job.outputs.values()]
    assert len(files) == len(set(files))
    rules = {job.rule for job in plan.jobs.values()}
    assert {"train", "finetune", "match", "evaluate", "sweep", "activations"} <= rules


def test_a_revision_of_a_network_reruns_its_jobs_alone(tmp_path, monkeypatch):
    """PNASNet's padding changed: its fine-tunings and evaluations run again, no download does."""
    monkeypatch.setenv("IMAGENET", str(tmp_path))
    config = load(ROOT / "config.yaml", ROOT / "configs/imagenet.yaml")

    def versions():
        plan = paper.plan_of(config)
        return {job: (one.config, one.ancestry_digest) for job, one in plan.jobs.items()}

    now = versions()
    pnasnet = zoo.ZOO["pnasnet5large"]
    monkeypatch.setitem(zoo.ZOO, "pnasnet5large", pnasnet._replace(revision=pnasnet.revision + 1))
    later = versions()
    changed = {job for job in now if later[job] != now[job]}
    pages = {"table", "summary", "claims", "text", "cost", "report", "crate"}
    assert {now[job][0]["stage"] for job in changed} - pages == {"finetune", "evaluate"}
    runs = {job for job in changed if job.startswith("runs/")}
    assert {now[job][0]["network"] for job in runs} == {"pnasnet5large"}
    assert "runs/imagenet/pnasnet5large-pretrained" in now.keys() - changed


def test_what_differs_on_one_augmentation_is_laid_over_the_networks_fine_tuning():
    """The settings of senet154 and of its twin both count; a page's own come last."""
    on = {"test DA2": {"epochs": 3, "lr": 0.3}, "train DA": {"epochs": 4}}
    networks = {
        "senet154": {"fine_tuning": {"epochs": 2, "batch_size": 20}, "fine_tuning_on": on},
        "senet14q": {"fine_tuning_on": {"test DA2": {"lr": 0.4}}},
    }
    plan = paper.plan_of(load(ROOT / "config.yaml", extra={"networks": networks}))

    def settings(name, **over):
        found = fine_tuning(plan, name, **over)
        return found.epochs, found.lr, found.batch_size

    rate, epochs = plan.config.fine_tuning.lr, plan.config.fine_tuning.epochs
    assert settings("senet154", augmentation="test DA") == (2, rate, 20)
    assert settings("senet154", augmentation="test DA2") == (3, 0.4, 20)
    assert settings("senet154", augmentation="train DA") == (4, rate, 20)
    assert settings("senet154", augmentation="test DA2", epochs=9) == (9, 0.4, 20)
    assert settings(None, augmentation="test DA2") == (epochs, rate, 64)


def test_names_need_no_edit_of_a_rule(monkeypatch):
    """A page called `ablation`, a network called `resnet26.x`, a dataset called `a-k3`."""
    monkeypatch.setitem(zoo.ZOO, "resnet26.x", zoo.ZOO["resnet10q"])

    def ablation(plan):
        def measure(_, k_test):
            run = match(plan, train(plan, 32), k_test, "gaussian")
            return Accuracy(finetune(plan, run, k_test, fine_tuning(plan)), k_test)

        block = grid(
            plan,
            "ablation",
            "Accuracy",
            ["Train"],
            [line(plan, "accuracy", 128)],
            resolutions(plan, [224, 288]),
            measure,
        )
        return Page("ablation", "Ablation", "A page.", main_subject(plan), [block])

    config = {"network": "resnet26.x", "dataset": "a-k3", "datasets": {"a-k3": {"rendered": {}}}}
    plan = paper.plan_of(parse(config), [ablation], [])
    assert re.fullmatch(any_of(plan.tables), "ablation")
    assert not re.fullmatch(any_of(plan.tables), "table5")
    base = "runs/a-k3/resnet26.x-k32"
    assert base in plan.jobs
    for run, rule in (
        (base, "train"),
        (f"{base}/match-k56-gaussian", "match"),
        (f"{base}/match-k56-gaussian/ft-k56-cls+bn-testda", "finetune"),
    ):
        assert run in plan.jobs
        assert rules_that_make(plan, plan.jobs[run]) == [rule]


def test_the_released_test_transform_is_not_for_a_network_of_ones_own():
    network = {"source": "timm:resnet18", "weights": "pretrained", "classifier": "fc"}
    network |= {"last_norm": ["layer4.1.bn2"], "mean": [0.5] * 3, "std": [0.5] * 3}
    network |= {"native": 224, "crop_pct": 0.875, "stride": 32}
    custom = {"name": "mine", "k_test": [224, 288], "network": network}
    over = {"custom": custom, "evaluation": {"test_resize": "released"}}
    with pytest.raises(ConfigError, match=r"evaluation\.test_resize: found released, with custom"):
        paper.plan_of(load(ROOT / "config.yaml", extra=over))


def test_an_unknown_run_names_the_nearest():
    plan = paper.plan_of(load(ROOT / "config.yaml"))
    with pytest.raises(ValueError, match="nearest: results/runs/pinhole/resnet10q-k56\\)"):
        plan.resolved("runs/pinhole/resnet10q-k57")


OWN = {
    "base_training": {"epochs": 3, "augmentation": {"jitter": 0.2}},
    "fine_tuning": {"epochs": 5},
}


def test_settings_of_the_main_network_are_for_all_that_trains_it():
    """networks.<network> alone: the same plan as with these settings for every network.

    Compared are the jobs of the pages that show the main network alone.
    """
    names = ("memory", "section1", "section3_3", "section5", "table5", "table6", "table7", "table9")
    pages = [page for page in paper.PAGES if page.__name__ in names]
    plain = {"scale": "small"}
    named = paper.plan_of(parse(merge(plain, {"networks": {"resnet10q": OWN}})), pages, [])
    everywhere = paper.plan_of(parse(merge(plain, OWN)), pages, [])
    for plan in (named, everywhere):
        del plan.resolved("pages/report")["configuration"]  # it shows how settings are written
        del plan.resolved("pages/ro-crate")["configuration"]
        del plan.resolved("pages/ro-crate")["jobs"]  # with the report's digest
    assert configs(named) == configs(everywhere)
    stages = {content["stage"] for content in configs(named).values()}
    assert {"train", "finetune", "time", "memory"} <= stages
    assert configs(named) != configs(paper.plan_of(parse(plain), pages, []))


def test_settings_of_another_network_are_not_for_the_main_one():
    """What differs for a network that the main one stands for, or for a transfer, stays there."""
    plain = load(ROOT / "config.yaml").model_dump()
    own = {"fine_tuning": {"epochs": 5}}
    plans = [
        configs(paper.plan_of(parse(merge(plain, {"networks": {name: own}}))))
        for name in ("resnet10q", "resnet50")
    ]
    before = configs(paper.plan_of(parse(plain)))
    tuned = "runs/pinhole/resnet10q-k56/ft-k96-cls+bn-testda"
    assert [jobs[tuned]["recipe"]["epochs"] for jobs in (before, *plans)] == [12, 5, 12]
    transfers = [job for job in before if "-twin/" in job and "/ft-" in job]
    assert transfers
    assert all(jobs[job] == before[job] for jobs in plans for job in transfers)


def test_a_cell_has_a_run_for_each_seed(tmp_path):
    """What is trained, or adapted from a network without a seed, has the seed in its name once.

    Timings, published weights and the images are made once. Seed 0 is not named.
    """
    file = tmp_path / "cutmix.pth"
    file.touch()
    published = {"networks": {"resnet50_cutmix": {"weights": {"file": str(file)}}}, "twins": False}
    config = load(ROOT / "config.yaml")
    one = paper.plan_of(config)
    two = paper.plan_of(config.model_copy(update={"seeds": [0, 1]}))
    assert one.jobs.keys() < two.jobs.keys()
    assert all(
        two.resolved(job) == content
        for job, content in configs(one).items()
        if not job.startswith("pages/")
    )
    for job in two.jobs.keys() - one.jobs.keys():
        assert job.count("-s1") == 1, job
        assert two.resolved(job).get("seed", 1) == 1
        assert job.replace("-s1", "") in one.jobs
    trained = {
        job
        for job, content in configs(one).items()
        if "seed" in content and content["stage"] != "crops"  # Figure 1 shows one image
    }
    assert {job.replace("-s1", "") for job in two.jobs.keys() - one.jobs.keys()} >= trained

    graph = JobGraph(parse(published | {"seeds": [0, 1]}))
    name = "runs/pinhole/resnet50_cutmix-pretrained"
    weights = graph.at_every_seed(lambda: obtain_published(graph, "resnet50_cutmix"))
    assert [job.id for job in weights] == [name] * 2
    tuned = graph.at_every_seed(lambda: finetune(graph, weights[0], 72, fine_tuning(graph)))
    ends = ("", "-s1")
    assert [job.id for job in tuned] == [f"{name}/ft-k72-cls+bn-testda{end}" for end in ends]
    matched = graph.at_every_seed(lambda: match(graph, train(graph, 56), 72, "frechet"))
    base = "runs/pinhole/resnet10q-k56"
    assert [job.id for job in matched] == [f"{base}{end}/match-k72-frechet" for end in ends]
    for cell in (c for table in two.tables.values() for c in table.cells()):
        of_seeds = cell.k_test or cell.metric == "image_size"
        expected = 0 if cell.source != "measured" else 2 if of_seeds else 1
        assert len(cell.runs) == expected
        assert len(set(cell.runs)) == len(cell.runs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "duplicate value 1"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"seed": 1}, "seeds"),
        ({"protocol": "s2"}, "protocol: looks like a seed in the names of runs .got 's2'."),
    ],
)
def test_seeds_that_cannot_be(wrong, message):
    with pytest.raises(ConfigError, match=message):
        parse(wrong)


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"batch_size": 128}, "spread"),
        ({"batch_size": 128, "repeats": "together"}, "together"),
        # Nothing to spread: the run is the one that it was before there was a choice.
        ({"batch_size": 128, "repeated_augmentation": 1}, None),
        ({"batch_size": 128, "repeated_augmentation": 1, "repeats": "together"}, None),
        ({"batch_size": 64}, None),
        ({"batch_size": 128, "micro_batch": 256}, None),
    ],
)
def test_where_copies_go_is_said_only_where_it_matters(recipe, expected):
    plan = paper.plan_of(parse({"base_training": recipe}), [], [])
    assert train(plan, 56).id == "runs/pinhole/resnet10q-k56"
    assert plan.resolved("runs/pinhole/resnet10q-k56")["recipe"].get("repeats") == expected
    assert "repeats" not in time_step(plan, 56, None, 64).config["recipe"]


def with_test_resize(resize: str, **more: dict):
    config = load(ROOT / "config.yaml").model_dump()
    return paper.plan_of(parse(merge(config, {"evaluation": {"test_resize": resize}, **more})))


def test_the_papers_test_transform_changes_no_job():
    plan = configs(with_test_resize("paper"))
    assert plan == configs(paper.plan_of(load(ROOT / "config.yaml")))
    jobs = {job: content for job, content in plan.items() if not job.startswith("pages/")}
    with_key = {job for job, content in jobs.items() if "test_resize" in str(content)}
    cut = ("evaluate", "activations", "sizes", "crops")
    assert with_key == {job for job, content in jobs.items() if content["stage"] in cut}
    assert not any("released" in job for job in jobs)


@pytest.mark.parametrize("over", [[], ["configs/imagenet.yaml"]])
def test_section_4_1_enlarges_the_image_alone_by_as_much_as_with_k_test(
    over, tmp_path, monkeypatch
):
    for name in ("IMAGENET", "CARS", "CUB", "FLOWERS", "PETS", "BIRDSNAP"):
        monkeypatch.setenv(name, str(tmp_path))
    plan = paper.plan_of(load(ROOT / "config.yaml", *(ROOT / file for file in over)))
    usual, alone, both = plan.tables["section4.1"].cells()
    [job] = [job for job in plan.jobs.values() if "/at-" in job.id]
    [crop_pct], [k_test] = job.config["crop_pct"], job.config["k_test"]
    assert k_test == usual.k_test == alone.k_test < both.k_test
    size = np.array([1000])
    resized = regions.Resized(size, size, k_test, crop_pct=crop_pct)
    assert resized.height == regions.test_image_size(both.k_test)
    assert alone.metric == per_image.metric("top1", crop_pct)
    # The evaluation that other tables read is as it was.
    assert "crop_pct" not in plan.jobs[f"{job.run.id}/evaluation"].config


def test_resnext_has_32_images_on_each_of_eight_devices(tmp_path, monkeypatch):
    """§5: half of the ResNet-50's batch of 512, on as many devices."""
    monkeypatch.setenv("IMAGENET", str(tmp_path))
    only = {"pages": {"only": ["table1", "table5"]}}
    plan = paper.plan_of(load(ROOT / "config.yaml", ROOT / "configs/imagenet.yaml", extra=only))
    tunings = [job for job in plan.jobs.values() if job.stage.name == "finetune"]
    recipes = {"resnext" in job.id: job.config["recipe"] for job in tunings}
    assert {of: (r["batch_size"], r["micro_batch"]) for of, r in recipes.items()} == {
        True: (256, 32),
        False: (512, 64),
    }


def test_a_further_resolution_of_figure_7_is_one_evaluation():
    """The evaluation that the tables read stays, and so do all pages without the figure's cells."""
    config = load(ROOT / "config.yaml")
    k_test = [*config.figure7.k_test, 97]
    figure7 = config.figure7.model_copy(update={"k_test": k_test})
    before, after = map(paper.plan_of, (config, config.model_copy(update={"figure7": figure7})))
    assert before.jobs.keys() == after.jobs.keys()
    then, now = digests(before), digests(after)
    again = {job for job in then if then[job] != now[job]}
    sweep = "runs/pinhole/resnet10q-k56/sweep"
    pages = {f"pages/{name}" for name in ("figure7", "claims", "plan", "report", "ro-crate")}
    assert again == {sweep, *pages}
    assert set(after.resolved(sweep)["k_test"]) - set(before.resolved(sweep)["k_test"]) == {97}
    assert f"results/{sweep}/hits.npz" in measurements(after, "pages/figure7")
    assert f"results/{sweep}/metrics.json" not in measurements(after, "pages/table5")


@pytest.mark.parametrize("figure", ["figure1", "figure2"])
def test_figures_of_the_images_alone_need_no_training(figure):
    plan = paper.plan_of(load(ROOT / "config.yaml", ROOT / "configs/smoke.yaml"))
    stages = {plan.resolved(job)["stage"] for job in needed(plan, figure)}
    assert {"render", "manifest", "sizes"} <= stages <= {"render", "manifest", "sizes", "crops"}


def test_figures_without_their_images_say_what_to_give(monkeypatch):
    monkeypatch.delenv("IMAGENET", raising=False)
    plan = paper.plan_of(load(ROOT / "config.yaml", ROOT / "configs/imagenet.yaml"))
    for figure in ("figure1", "figure2", "figure7"):
        with pytest.raises(ConfigError, match=r"datasets\.imagenet\.root"):
            measurements(plan, f"pages/{figure}")


def test_the_released_test_transform_holds_for_all_that_is_cut_as_at_test_time():
    """Evaluated, matched and fine-tuned with one transform. No run shares a path with the paper's.

    Trainings, and fine-tunings on train DA, are the same runs.
    """
    before, plan = (with_test_resize(resize) for resize in ("paper", "released"))
    of_stage: dict[str, list[str]] = {}
    for job, content in configs(plan).items():
        of_stage.setdefault(content["stage"], []).append(job)
    for job in of_stage["evaluate"] + of_stage["match"] + of_stage["activations"]:
        assert plan.resolved(job)["test_resize"] == "released"
    assert of_stage["train"]
    kinds = set()
    for job in of_stage["finetune"]:
        augmentation = plan.resolved(job)["augmentation"]
        kinds.add(augmentation["name"])
        assert augmentation.get("test_resize") == (
            None if augmentation["name"] == "train DA" else "released"
        )
    assert kinds == {"train DA", "test DA", "test DA2"}
    for job in before.jobs.keys() & plan.jobs.keys():
        content = plan.resolved(job)
        if content["stage"] in ("evaluate", "activations"):
            content = content | {"test_resize": "paper"}
        if not job.startswith("pages/"):
            assert content == before.resolved(job)
    tuned = "runs/pinhole/resnet10q-k56/ft-k96-cls+bn-testda"
    assert tuned in before.jobs
    assert f"{tuned}_released" in plan.jobs
    assert rules_that_make(plan, plan.jobs[f"{tuned}_released"]) == ["finetune"]
    assert plan.jobs[f"{tuned}_released/evaluation"].run == plan.jobs[f"{tuned}_released"]


def test_pages_say_that_the_test_transform_is_the_released_one(tmp_path):
    """On every page with accuracies; the authors' weights follow their own key, and say so."""
    file = tmp_path / "weights.pth"
    file.touch()
    given = {"released": {"files": {"fixresnet50": str(file)}, "test_resize": "paper"}}
    before, plan = (with_test_resize(resize, **given) for resize in ("paper", "released"))
    own = "runs/pinhole/fixresnet50-pretrained/evaluation"
    assert plan.resolved(own) == before.resolved(own)
    assert plan.resolved(own)["test_resize"] == "paper"
    for table in plan.tables:
        notes, usual = (p.resolved(f"pages/{table}")["notes"] for p in (plan, before))
        said = [note for note in notes if "evaluation.test_resize: released" in note]
        others = ("released", "section1", "section3.1", "memory")  # the latter show no accuracy
        assert len(said) == (table not in others), table
        assert [note for note in notes if note not in said] == list(usual)


def test_more_data_costs_a_twin_no_training_time():
    """On the tags it sees at least the crops of a plain network, then adapts at a lower rate."""
    plan = paper.plan_of(load(ROOT / "config.yaml"))

    def training(run):
        recipe = plan.resolved(run)["recipe"]
        return recipe["epochs"] * recipe["samples_per_epoch"], recipe["lr"]

    crops, rate = training("runs/pinhole/resnet10q-k56")
    adapted = [job for job in plan.jobs if re.fullmatch("runs/pinhole/[^/]+-from-tags", job)]
    assert len(adapted) == 6
    for run in adapted:
        on_tags, _ = training(plan.resolved(run)["init"])
        assert on_tags >= crops, run
        assert training(run)[1] < rate, run


def test_the_figures_of_activations_train_nothing():
    """The network of Table 5 and its fine-tunings are there; a seed more is measured, too."""
    config = load(ROOT / "config.yaml")
    others = [f for f in paper.FIGURES if f.__name__ not in ("figure3", "figure4", "figure6")]
    before, plan = paper.plan_of(config, figures=others), paper.plan_of(config)
    base = "runs/pinhole/resnet10q-k56"
    runs = [base, *(f"{base}/ft-k{k}-cls+bn-testda" for k in (16, 32, 56, 112))]
    new = {job for job in plan.jobs.keys() - before.jobs.keys() if not job.startswith("pages/")}
    assert new == {f"{run}/activations" for run in runs}
    assert (
        needed(plan, "figure6")
        == needed(plan, "figure3")
        == {job.id for job in plan.jobs[f"{base}/activations"].ancestors}
    )
    assert new <= needed(plan, "figure4")
    job = plan.resolved(f"{base}/activations")
    assert (job["k_train"], job["k_test"]) == (56, [16, 32, 56, 112])
    assert (job["bound"], job["share"]) == (None, 1.2)
    two = paper.plan_of(config.model_copy(update={"seeds": [0, 1]}))
    assert {job for job in two.jobs if job.endswith("/activations")} == new | {
        f"{run}/activations".replace("k56", "k56-s1", 1) for run in runs
    }


def test_the_papers_network_has_the_papers_bound(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGENET", str(tmp_path))
    plan = paper.plan_of(load(ROOT / "config.yaml", ROOT / "configs/imagenet.yaml"))
    job = plan.resolved("runs/imagenet/resnet50-k224/activations")
    assert job["bound"] == 2.0
    assert "share" not in job


def test_a_caption_of_a_figure_changes_that_figure_alone():
    config = load(ROOT / "config.yaml").model_dump()
    edited = merge(config, {"pages": {"captions": {"figure3": "CDFs."}}})
    before, after = (paper.plan_of(parse(c)) for c in (config, edited))
    then, now = digests(before), digests(after)
    changed = {job for job in then if then[job] != now[job]}
    assert changed == {"pages/figure3", "pages/report", "pages/ro-crate"}
