"""An oracle that is too simple to be wrong: try every order of a small history."""

from itertools import combinations, permutations

from oarlock.check.history import History
from oarlock.check.linearizability import parse_actions
from oarlock.check.model import Model


def is_linearizable(history: History, model: Model) -> bool:
    """Whether some order of all answered, and any of the other operations, is accepted by the whole model."""
    actions = parse_actions(history, model)
    operations = history.operations
    answered = [i for i, operation in enumerate(operations) if operation.return_ is not None]
    unanswered = [i for i, operation in enumerate(operations) if operation.return_ is None]
    for count in range(len(unanswered) + 1):
        for chosen in combinations(unanswered, count):
            for order in permutations([*answered, *chosen]):
                if _respects_time(order, operations) and _is_accepted(order, actions, model):
                    return True
    return False


def _respects_time(order, operations) -> bool:
    for place, later in enumerate(order):
        returned = operations[later].return_
        if returned is not None and any(operations[earlier].call > returned for earlier in order[:place]):
            return False
    return True


def _is_accepted(order, actions, model) -> bool:
    states = {}
    for i in order:
        key, asked, answer, _ = actions[i]
        accepted, states[key] = model.step(states.get(key, model.init()), asked, answer)
        if not accepted:
            return False
    return True
