"""Linsker's linear infomax: two units, y = W x + noise, see two correlated inputs; which W tells most about x?

With little noise the units look in different directions (diversity), with much they repeat the strongest one
(redundancy): W's rows are found by maximizing I(x; y) at unit length each, over both angles.
Linsker 1988, Self-organization in a perceptual network, IEEE Computer 21(3). Run: python examples/linsker_infomax.py
"""

import itertools

import numpy as np

from dimref.theory.gaussian import gaussian_mutual_information

CORRELATION = 0.6
INPUT = np.array([[1.0, CORRELATION], [CORRELATION, 1.0]])  # strongest along 45°, variance 1.6; weakest along 135°, 0.4
ANGLES = np.arange(0, 180, 3)  # of a row of W; a row and its negative say the same


def information(angles: tuple[float, float], noise: float) -> float:
    """I(x; y) in nats for rows at these angles, each output with independent noise of this variance."""
    w = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=1)
    output = w @ INPUT @ w.T + noise * np.eye(2)
    return gaussian_mutual_information(np.block([[INPUT, INPUT @ w.T], [w @ INPUT, output]]), 2)


def best_angles(noise: float) -> tuple[int, int]:
    """The angles of the two rows that carry most."""
    pairs = itertools.combinations_with_replacement(ANGLES.tolist(), 2)
    return max(pairs, key=lambda pair: information(pair, noise))


if __name__ == "__main__":
    print("noise   angles of the two rows   apart   I(x; y) nats   I if both repeat 45°")
    for noise in (0.01, 0.1, 0.3, 1.0, 3.0, 10.0):
        a, b = best_angles(noise)
        apart = min(b - a, 180 - (b - a))
        most, repeated = information((a, b), noise), information((45, 45), noise)
        word = "redundancy" if apart == 0 else "diversity"
        print(f"{noise:5.2f}   {a:8d}° {b:8d}°     {apart:6d}°   {most:12.4f}   {repeated:12.4f}   {word}")
    eigenvalues = np.linalg.eigvalsh(INPUT)
    print(f"variance of the inputs along 45° and 135°: {eigenvalues[1]:.1f}, {eigenvalues[0]:.1f}")
