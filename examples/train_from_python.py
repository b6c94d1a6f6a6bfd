"""Train DIM(L) from Python: the step that `dimref train` takes, without its files. A minute on two cores."""

import sys

import numpy as np

from dimref import data, encoders, objectives, optim
from dimref.step import train_step


def main(steps: int = 100, batch_size: int = 64) -> None:
    images = data.load("shapes", "train").images
    layout = encoders.Layout(size=32, channels=3)
    objective = objectives.Objective(global_weight=0, local_weight=1, prior_weight=0.1, bound="jsd")
    rng = np.random.default_rng(0)
    parameters, state = objectives.init_parameters(rng, layout, objective)
    adam = optim.init_adam(parameters)

    def loss(parameters, state, batch, noise):
        return objectives.loss(parameters, state, batch, noise, objective, layout)

    for step in range(1, steps + 1):
        batch = encoders.scale(images[rng.choice(len(images), batch_size, replace=False)], layout)
        noise = objectives.draw_noise(rng, objective, layout, batch_size)
        parameters, state, adam, report = train_step(loss, parameters, state, adam, batch, noise, lr=1e-4)
        if step % 10 == 0 or step == steps:
            local, ceiling = report["terms"]["local"], objective.ceiling("local", batch_size, 64)
            print(f"step {step:3d}  local bound {local:.3f} nats of at most {ceiling:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
