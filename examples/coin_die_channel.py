"""Coins, dice and channels: the numbers of an information-theory primer, exact.

Run: python examples/coin_die_channel.py
"""

import math

import numpy as np

from dimref.theory.channels import (
    binary_erasure_channel,
    binary_symmetric_channel,
    capacity,
    channel_information,
    z_channel,
)
from dimref.theory.information import conditional_entropy, entropy, joint_entropy, mutual_information


def show(what: str, nats: float, note: str = "") -> None:
    print(f"{what:<44} {nats:8.6f} nats  {nats / math.log(2):8.6f} bits  {note}".rstrip())


coin, biased, die = np.full(2, 1 / 2), np.array([9 / 10, 1 / 10]), np.full(6, 1 / 6)

print("How much is there to know?")
show("H(fair coin)", entropy(coin), "log 2")
show("H(coin that lands heads 9 times in 10)", entropy(biased))
show("H(die)", entropy(die), "log 6")

print("\nA coin X and its copy Y: seeing one is seeing both")
copy = np.diag(coin)
show("H(X, Y)", joint_entropy(copy), "log 2, no more than one coin")
show("H(X|Y)", conditional_entropy(copy), "nothing is left to know")
show("I(X; Y)", mutual_information(copy), "log 2")

print("\nA die X and its parity Y: a question with one bit of answer")
parity = np.zeros((6, 2))
parity[np.arange(6), np.arange(1, 7) % 2] = 1 / 6
show("I(X; Y)", mutual_information(parity), "log 2")
show("H(X|Y)", conditional_entropy(parity), "log 3, which of three faces")

print("\nA die sent through a channel")
show("ideal channel: I(X; Y)", channel_information(die, np.eye(6)), "log 6, all of H(X)")
show("fully disturbed channel: I(X; Y)", channel_information(die, np.full((6, 6), 1 / 6)), "Y ignores X")

print("\nThe most a channel can carry, with a certificate: C lies between the value and the value + gap")
for name, channel, closed_form in (
    ("symmetric channel, a bit flips 1 time in 10", binary_symmetric_channel(0.1), "log 2 − H(0.1)"),
    ("erasure channel, a bit is lost 1 time in 4", binary_erasure_channel(0.25), "(1 − 0.25) log 2"),
    ("Z-channel, a 1 arrives as 0 every other time", z_channel(0.5), "log(5/4)"),
):
    most = capacity(channel)
    show(name, most.information, f"{closed_form}, gap {most.gap:.1e}")
