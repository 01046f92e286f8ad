"""Arithmetic on lists of tensors: one call for the whole list.

A step of training copies and adds hundreds of small tensors: gradients, and the statistics of the
batch-norms. On a GPU one operation a tensor is one kernel a tensor, and to start a kernel takes
longer than to add a hundred numbers. torch's `_foreach` functions do a whole list in a few kernels.
The bits are the same as for one tensor after another.
"""

import torch

Tensors = list[torch.Tensor]


def copies(tensors: Tensors) -> Tensors:
    """A copy of each tensor, in its memory layout."""
    # Times one keeps every bit. (`_foreach_clone` is younger than torch 2.11.)
    return list(torch._foreach_mul(tensors, 1)) if tensors else []


@torch.no_grad()
def overwrite(tensors: Tensors, values: Tensors) -> None:
    """Write the values into the tensors, which keep their memory."""
    if tensors:
        torch._foreach_copy_(tensors, values)


def added(a: Tensors, b: Tensors) -> Tensors:
    """a + b, tensor by tensor."""
    return list(torch._foreach_add(a, b)) if a else []


def divided(tensors: Tensors, by: int) -> Tensors:
    """Each tensor divided by the same number."""
    return list(torch._foreach_div(tensors, by)) if tensors else []
