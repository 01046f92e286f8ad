"""For programs with a network and images at hand: `import fixres` (docs/api.md).

    before = fixres.accuracy(module, val, k_test=[128, 160])
    fixed = fixres.fix(module, train, k_test=160)
    print(fixres.accuracy(fixed, val, k_test=160)[160] - before[128])

Three functions do what `fixres recommend` does, with its code, and give its numbers. They need no
Snakemake, no configuration and no folder. `accuracy` and `fix` work on a copy of the module;
`adapt` changes the module. What is wrong with their arguments, the module or an image, is a
ValueError that says which, what was found, and what to do.

All compute in float32, on one device.
"""

from fixres.api.fixing import Adapted, adapt, fix
from fixres.api.measuring import Accuracy, Difference, accuracy
