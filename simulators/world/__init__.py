"""The whole line in one process and on one clock: the product's own state machines, under every fault, from a seed."""

from simulators.world.oracle import Violation as Violation
from simulators.world.run import Result as Result
from simulators.world.run import run_seed as run_seed
