"""Settings of the hardware: devices, processes, and the limits that a scheduler is asked for."""

from typing import Literal

from pydantic import Field

from fixres.config.fields import NotNegative, Positive, Processes, Section


class Hours(Section):
    """Time limit of one job of each stage, in hours, for a scheduler."""

    render: Positive = 1.0
    manifest: Positive = 1.0
    pretrained: Positive = 1.0
    train: Positive = 2.0
    match: Positive = 1.0
    finetune: Positive = 1.0
    evaluate: Positive = 1.0
    time: Positive = 1.0


class Memory(Section):
    """Memory of one job of each stage, in gigabytes, for a scheduler.

    train: plus decoded_gb. finetune: plus cache_gb or decoded_gb, the larger.
    """

    render: Positive = 2.0
    manifest: Positive = 2.0
    pretrained: Positive = 4.0
    train: Positive = 4.0
    match: Positive = 4.0
    finetune: Positive = 4.0
    evaluate: Positive = 4.0
    time: Positive = 4.0


class Hardware(Section):
    """How the work is spread over the machine. It changes no result and reruns nothing."""

    loader: Literal["auto", "dali", "pillow"] = "auto"
    """auto: DALI beside a GPU where it is installed, Pillow on a processor"""
    workers: Processes | None = None
    """threads of each process that decode and cut images; on a CPU at most those that it computes
    with; null: its share of the job's threads"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast where the processor has it"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one"""
    gpus: int = Field(0, ge=0, le=1024)
    """devices of one training, fine-tuning or evaluation, asked of the scheduler or leased; 0: one,
    if there is one"""
    nodes: Processes = 1
    """machines of one base training, with `gpus` devices each (SLURM only)"""
    processes: Processes | None = None
    """processes of one such job; B stays the global batch; null: one a device"""
    cuda_graphs: bool = True
    """on a GPU, record a step of a training and replay it: faster, the same numbers; not with
    `compile`"""
    compile: bool = False
    """torch.compile the networks: slower to start, faster on a GPU"""
    render_threads: Processes = 64
    """processes that render and validate; Snakemake caps them at --cores"""
    train_threads: Processes = Field(1, description="threads of one base training")
    finetune_threads: Processes = Field(1, description="threads of one fine-tuning")
    evaluate_threads: Processes = Field(1, description="threads of one evaluation")
    hours: Hours = Hours()
    memory_gb: Memory = Memory()
    cache_gb: NotNegative = 2.0
    """memory of a machine for the activations of one fine-tuning, shared by its processes; a GPU's
    own memory comes first; what fits nowhere is recomputed; 0: nothing is kept"""
    decoded_gb: NotNegative = 1.0
    """memory of a machine for the decoded images of one training, shared by its processes; where
    all fit, later epochs do not decode them again; not with DALI; 0: none are kept"""
    multiply_adds_per_second: Positive | None = None
    """of one device in a forward pass, as a trial measured it; estimates of time use it where no
    finished job tells more (fixres recommend sets it)"""
    checkpoint_seconds: NotNegative = 20.0
    """time from one checkpoint of a running job to the next, seconds"""
    tensorboard: bool = False
    """true: a training that starts, or goes on, also writes event files for TensorBoard,
    results/<run>/tensorboard/"""
