"""Settings of the hardware: devices, processes, and the limits to request from a scheduler."""

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

    train: plus decoded_gb. finetune: plus the larger of cache_gb and decoded_gb.
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
    """How the work is spread over the machine. A change affects no result and reruns nothing."""

    loader: Literal["auto", "dali", "pillow"] = "auto"
    """auto: DALI with a GPU if DALI is installed, otherwise Pillow"""
    workers: Processes | None = None
    """decoding threads of each process; on a CPU at most as many as its compute threads; null: the
    process's share of the job's threads"""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 autocast if the hardware supports it"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU if there is one"""
    gpus: int = Field(0, ge=0, le=1024)
    """GPUs per training, fine-tuning or evaluation, requested from the scheduler or leased; 0: one
    if the machine has any"""
    nodes: Processes = 1
    """machines per base training, with `gpus` GPUs each (SLURM only)"""
    processes: Processes | None = None
    """processes of such a job; B remains the global batch size; null: one per GPU"""
    cuda_graphs: bool = True
    """on a GPU, record a training step and replay it, which is faster and gives the same numbers;
    not with `compile`"""
    compile: bool = False
    """torch.compile the networks: slower to start, faster on a GPU"""
    render_threads: Processes = 64
    """processes that render and validate; Snakemake limits them to --cores"""
    train_threads: Processes = Field(1, description="threads of one base training")
    finetune_threads: Processes = Field(1, description="threads of one fine-tuning")
    evaluate_threads: Processes = Field(1, description="threads of one evaluation")
    hours: Hours = Hours()
    memory_gb: Memory = Memory()
    cache_gb: NotNegative = 2.0
    """host memory per machine for the activations of one fine-tuning, shared by its processes; GPU
    memory is filled first; whatever fits in neither is recomputed; 0: nothing is kept"""
    decoded_gb: NotNegative = 1.0
    """memory per machine for the decoded images of one training, shared by its processes; if all
    fit, later epochs do not decode them again; not with DALI; 0: none are kept"""
    multiply_adds_per_second: Positive | None = None
    """measured speed of one device in a forward pass; used to estimate times until a finished job
    gives better numbers (fixres recommend sets it)"""
    checkpoint_seconds: NotNegative = 20.0
    """time between checkpoints, seconds"""
    tensorboard: bool = False
    """true: a training that starts or resumes also writes event files for TensorBoard,
    results/<run>/tensorboard/"""
