"""The production node in a deterministic simulation: network, disks, clocks and chance are ours, the rest is real."""

from oarlock.sim.cluster import Simulation
from oarlock.sim.generate import generate
from oarlock.sim.run import Report, record_schedule, run_schedule, run_seed
from oarlock.sim.schedule import Fault, Schedule, Settings
from oarlock.sim.schedule_file import read_schedule, write_schedule

__all__ = [
    "Fault",
    "Report",
    "Schedule",
    "Settings",
    "Simulation",
    "generate",
    "read_schedule",
    "record_schedule",
    "run_schedule",
    "run_seed",
    "write_schedule",
]
