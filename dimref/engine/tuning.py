"""Every constant that was chosen by measurement: sizes of blocks, and the sizes from which another form pays."""

from __future__ import annotations

# ---- on the host

ADAM_BLOCK = 1 << 17  # elements: few enough for a cache that cores share, so many that threads seldom wait for the lock
AUGMENTED_IMAGES = 32  # images of a block that is augmented
CONVOLUTION_WINDOWS = 1_000_000  # numbers in the windows of a block of images
CONVOLUTION_WORTH = 100_000  # numbers in windows that a thread must have to be worth its start
CRITIC_ROWS = 1024  # rows of a critic's hidden layers in a block: an array of them stays in a core's cache
DIRECTION_SCORES = 1 << 20  # scores of an AMDIM direction that a thread has in memory at a time
LARGEST_MAP_IMAGES = 16  # images of a block that goes all the way to the 7×7 map, with the maps before it in the cache
LARGE_MATRIX = 1 << 20  # numbers of a matrix that is not in the cache when its product begins
NORM_BLOCK = 131_072  # numbers of a block of batch norm's rows, half a MiB of float32
PILOT_ROWS = 64  # rows from all over a matrix whose mean is the point from which its moments are measured
PRODUCT_WORTH = 1 << 20  # multiplications that a thread must have to be worth its start

# ---- on a device

CAPTURE_WARM_UP = 2  # steps before the capture of a graph: they compile kernels, load libraries and fill the pool
CAPTURE_SLOTS = 2  # batches that may be on their way at a time
