"""What the cells of a page can ask for: jobs, at the resolutions of this scale."""

from fixres.graph.adaptation import fine_tuning, finetune, match
from fixres.graph.measurements import (
    cut_crops,
    evaluate,
    evaluate_at,
    measure_activations,
    measure_memory,
    measure_objects,
    measure_sizes,
    measure_transfer_sizes,
    sweep,
    time_evaluation,
    time_step,
)
from fixres.graph.networks import (
    obtain_published,
    obtain_released,
    train,
    train_on_fixed_crops,
    train_with_copies,
    transfer,
)
from fixres.graph.scale import architecture, scaled
