"""The words a user may choose from. No imports: the command line knows them before NumPy is loaded."""

BACKENDS = ("numpy", "cupy")
DATA = ("shapes", "cifar10", "cifar100", "stl10", "stl10-unlabeled", "idx", "folder", "npz")
PAIR_BOUNDS = ("jsd", "dv", "mine", "nwj")
BOUNDS = (*PAIR_BOUNDS, "infonce")
PAIR_NEGATIVES = ("shuffle", "roll", "all-pairs")
CANDIDATE_NEGATIVES = ("same-location", "all-locations", "sampled")
NEGATIVES = (*PAIR_NEGATIVES, *CANDIDATE_NEGATIVES)
METHODS = ("dim", "amdim")
SCALES = ("1-5", "1-7", "5-5")  # of AMDIM: the side of the map that predicts, and of the one that is predicted
AUGMENTATIONS = ("shift", "crop", "none")
LOCAL_CRITICS = ("concat", "dot")
DOT_PIECES = ("batch-norm", "identity", "unscaled")  # of the official code's dot critic
GLOBAL_MAPS = ("local", "last")  # the M×M map or the last one, which the global critic sees
FEATURES = ("conv", "fc", "y")  # the last map flattened, the layer above it, the representation
PROBES = ("linear", "mlp", "svm", "svm-hinge", "knn")
MEASURES = ("mine", "ndm", "ms-ssim")  # of the representation
ALL_MEASURES = (*MEASURES, "sandwich")
CHECKPOINTS = ("newest", "best")
KEPT = ("both", *CHECKPOINTS)  # at the end of a run
WEIGHT_FORMATS = ("safetensors", "torch-layout-npz")
ESTIMATED = ("infonce", "jsd", "dv", "nwj", "smile")  # what estimates are read from
CRITICS = ("separable", "concat")
BASES = ("nats", "bits")  # units of an estimate
TRANSFORMS = ("rank", "standardize", "asinh")
PRIORS = ("uniform", "gaussian")
PRIOR_LOSSES = ("minimax", "non-saturating")
BENCH_METHODS = {  # each preset of the benchmark, and its method; those of dim but dim-mixed are timed without the prior
    "dim-local": "dim", "dim-infonce": "dim", "dim-global": "dim", "dim-mixed": "dim", "amdim": "amdim", "encode": "dim",
}  # fmt: skip
BENCH_PRESETS = tuple(BENCH_METHODS)
THREAD_VARIABLES = (  # read by the BLAS libraries when they are loaded; the first that is set counts
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)
AUDIT_KINDS = ("bound", "negatives", "discriminator", "layer", "information", "prior", "measure")
FRAMEWORKS = ("numpy", "autograd", "cupy", "torch", "jax")
