"""A computation on a GPU, recorded once and replayed.

    gradients = Replayed(function, state)
    gradients(x, targets)   # the first call of a shape records; every call replays

A micro-batch of 64 images calls hundreds of kernels. A processor core starts them one after
another, which on a fast GPU takes longer than to compute them: the GPU waits. A CUDA graph starts
all of them at once. The kernels are the same, and so are the numbers.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from fixres.jobs import JobError
from fixres.stages import lists
from fixres.stages.lists import Tensors

WARM_UP = 3  # calls before the recording: libraries set themselves up in the first ones


class Recording(NamedTuple):
    """A graph, and the tensors that it reads and writes whenever it is replayed."""

    graph: "torch.cuda.CUDAGraph"
    inputs: Tensors
    outputs: Tensors


class Replayed:
    """A function of tensors on a GPU, recorded for each shape of its inputs.

    Parameters
    ----------
    function : (inputs) -> list of tensors. It must not wait for the device, nor choose by what a
        tensor holds: the graph repeats the kernels of the recorded call.
    state : tensors that the function changes in place. A recording leaves them as they were.
    """

    def __init__(self, function: Callable[..., Tensors], state: Tensors):
        self.function, self.state = function, state
        self.recordings: dict[tuple, Recording] = {}

    def __call__(self, *inputs: torch.Tensor) -> Tensors:
        """What the function returns, in separate memory.

        Raises
        ------
        JobError : the function cannot be recorded.
        """
        key = tuple((x.shape, x.dtype) for x in inputs)
        if key not in self.recordings:
            self.recordings[key] = self._recorded(inputs)
        recording = self.recordings[key]
        lists.overwrite(recording.inputs, list(inputs))
        recording.graph.replay()
        # The next replay writes into the same memory.
        return lists.copies(recording.outputs)

    def _recorded(self, inputs: tuple[torch.Tensor, ...]) -> Recording:
        device = inputs[0].device
        mine, before = [x.clone() for x in inputs], lists.copies(self.state)
        random = torch.cuda.get_rng_state(device)
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self.function(*mine)
        torch.cuda.current_stream(device).wait_stream(aside)
        torch.cuda.set_rng_state(random, device)  # the warm-up drew numbers
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: meanwhile the threads of a loader may allocate memory.
            with torch.cuda.graph(
                graph, pool=self._pool(), stream=aside, capture_error_mode="thread_local"
            ):
                outputs = self.function(*mine)
        except torch.OutOfMemoryError:  # a RuntimeError, too, and no fault of the function
            raise
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise JobError(
                "hardware.cuda_graphs: this network's step cannot be recorded as a CUDA graph "
                f"({reason}); set it to false: steps are then slower, and the same"
            ) from error
        torch.cuda.set_rng_state(random, device)
        lists.overwrite(self.state, before)
        return Recording(graph, mine, outputs)

    def _pool(self) -> tuple[int, int] | None:
        """Memory that all recordings share: they are replayed one at a time."""
        return next((recording.graph.pool() for recording in self.recordings.values()), None)
