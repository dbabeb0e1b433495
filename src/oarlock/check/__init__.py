"""Judges of what happened: histories of clients, logs, states after every event, progress after healing."""

from oarlock.check.history import History, HistoryError, Operation, make_history, read_history, write_history
from oarlock.check.invariants import PROPERTIES, Monitor
from oarlock.check.linearizability import check_history, run_check
from oarlock.check.liveness import Limits, LivenessReport, LivenessWatch
from oarlock.check.log_replay import Placed, ReplayReport, replay_log
from oarlock.check.model import UNKNOWN, Action, Input, Interval, Kind, Model, Part
from oarlock.check.observed import Observed, ObservedEntry, Promise
from oarlock.check.observer import Observer, digest_of, given
from oarlock.check.recorder import Call, Recorder
from oarlock.check.registry import MODELS, model_named
from oarlock.check.rendering import render
from oarlock.check.verdict import Report, Verdict, Violation

__all__ = [
    "MODELS",
    "PROPERTIES",
    "UNKNOWN",
    "Action",
    "Call",
    "History",
    "HistoryError",
    "Input",
    "Interval",
    "Kind",
    "Limits",
    "LivenessReport",
    "LivenessWatch",
    "Model",
    "Monitor",
    "Observed",
    "ObservedEntry",
    "Observer",
    "Operation",
    "Part",
    "Placed",
    "Promise",
    "Recorder",
    "ReplayReport",
    "Report",
    "Verdict",
    "Violation",
    "check_history",
    "digest_of",
    "given",
    "make_history",
    "model_named",
    "read_history",
    "render",
    "replay_log",
    "run_check",
    "write_history",
]
