"""Deep Graph Infomax on a stochastic block model: JSD between each node's vector and a summary of the whole graph.

Nodes of one group are linked more often; their features are mostly noise. Negative pairs are the same summary with nodes
whose features were shuffled over the graph. What is learned without labels tells the groups apart better than the features
do, and better than the same untrained encoder. Velickovic et al., arXiv 1809.10341, eq. (1)-(4).
Run: python examples/deep_graph_infomax.py [x.png]; the picture needs matplotlib.
"""

import sys

import numpy as np

from dimref import bounds, layers, ops, optim
from dimref.evaluation.probes import linear_probe
from dimref.tape import value_and_gradients
from dimref.trees import Array, Tree

NODES, GROUPS, FEATURES, UNITS = 600, 3, 30, 16
INSIDE, BETWEEN, SIGNAL, STEPS = 0.05, 0.005, 0.2, 150


def block_model(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """D^−½(A + I)D^−½ of a graph of groups, the nodes' features, and their groups: float32."""
    groups = np.arange(NODES) % GROUPS
    likely = np.where(groups[:, None] == groups, INSIDE, BETWEEN)
    upper = np.triu(rng.random((NODES, NODES)) < likely, 1)
    linked = (upper + upper.T + np.eye(NODES)).astype(np.float32)
    root = linked.sum(axis=0) ** -0.5
    x = rng.standard_normal((NODES, FEATURES)) + SIGNAL * rng.standard_normal((GROUPS, FEATURES))[groups]
    return linked * root * root[:, None], x.astype(np.float32), groups


def encode(parameters: Tree, graph: Array, x: Array) -> Array:
    """One graph convolution, ReLU(Â·x·w + b): (nodes, UNITS)."""
    return ops.relu(ops.matmul(graph, layers.linear(parameters["encoder"], x)))


def loss(parameters: Tree, graph: Array, x: Array, order: np.ndarray) -> tuple[Array, None]:
    """−JSD of the scores hᵀ·W·s of nodes h and the summary s = σ(mean of h); negatives from shuffled features."""
    h, corrupted = encode(parameters, graph, x), encode(parameters, graph, x[order])
    summary = ops.sigmoid(ops.mean(h, axis=0, keepdims=True))
    toward = ops.transpose(layers.linear(parameters["critic"], summary), (1, 0))
    return -bounds.jsd(ops.matmul(h, toward), ops.matmul(corrupted, toward)), None


def accuracy(vectors: np.ndarray, groups: np.ndarray) -> float:
    """Accuracy in % of a linear probe, fitted to one half of the nodes and tested on the other."""
    half = NODES // 2
    return 100 * linear_probe((vectors[:half], groups[:half]), (vectors[half:], groups[half:])).accuracy


def main(picture: str | None) -> None:
    rng = np.random.default_rng(0)
    graph, x, groups = block_model(rng)
    parameters = {"encoder": layers.init_linear(rng, FEATURES, UNITS), "critic": layers.init_linear(rng, UNITS, UNITS)}
    adam, before = optim.init_adam(parameters), encode(parameters, graph, x)
    for _ in range(STEPS):
        value, gradients, _ = value_and_gradients(loss, parameters, graph, x, rng.permutation(NODES))
        parameters, adam = optim.adam_step(parameters, gradients, adam, lr=1e-2)
    found = {"features": x, "untrained": before, "trained": encode(parameters, graph, x)}
    print(f"JSD {-float(value):.3f} of at most {bounds.ceiling('jsd'):.3f} nats")
    shares = {name: accuracy(vectors, groups) for name, vectors in found.items()}
    for name, share in shares.items():
        print(f"{name:<10} {share:5.1f} % of nodes in the right group")
    if picture:
        from dimref.plots.style import class_style, new_figure

        figure = new_figure(10, 3.6)
        for axes, (name, vectors) in zip(figure.subplots(1, 3), found.items(), strict=True):
            centred = vectors - vectors.mean(axis=0)
            plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
            for group in range(GROUPS):
                axes.scatter(*plane[groups == group].T, s=9, **class_style(group))
            axes.set(title=f"{name}: {shares[name]:.0f} %", xticks=[], yticks=[])
        figure.supxlabel("two principal components; the groups, in colours, played no part in training")
        figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:] or [None])
