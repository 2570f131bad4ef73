"""Is a history of one register linearizable? After Wing and Gong, with Lowe's configurations: all orders that agree with what was
seen are followed at once, as pairs of a state and the operations that took effect but have not returned yet.

An operation is (kind, argument, result, invoked, returned): `write` of a value; `cas` of (old, new), whose result is whether it did;
`read`, whose result is the value, None where there is no document. Where nobody knows whether it was executed `returned` is None.
"""

from collections import namedtuple

Operation = namedtuple("Operation", "kind argument result invoked returned")


def _apply(operation, state):
    """The state after the operation took effect in `state`, in a tuple; None where its result denies that."""
    if operation.kind == "write":
        return (operation.argument,)
    if operation.kind == "cas":
        old, new = operation.argument
        did = state == old
        if operation.returned is not None and operation.result != did:
            return None
        return (new,) if did else (state,)
    return (state,) if operation.result == state else None


def is_linearizable(operations, initial=None):
    """Whether some order of effects, each between invocation and return, explains all results."""
    known = [op for op in operations if op.returned is not None or op.kind != "read"]
    events = sorted(
        [(op.invoked, 0, place) for place, op in enumerate(known)]
        + [(op.returned, 1, place) for place, op in enumerate(known) if op.returned is not None]
    )
    configurations = {(initial, frozenset())}
    pending = set()
    for _, is_return, place in events:
        if not is_return:
            pending.add(place)
            continue
        seen, frontier, reached = set(configurations), list(configurations), set()
        while frontier:
            state, done = frontier.pop()
            if place in done:
                reached.add((state, done - {place}))
                continue
            for other in pending - done:
                after = _apply(known[other], state)
                if after is None:
                    continue
                configuration = (after[0], done | {other})
                if configuration not in seen:
                    seen.add(configuration)
                    frontier.append(configuration)
        pending.discard(place)
        configurations = reached
        if not configurations:
            return False
    return True


def make_stale(operations):
    """The history with one read made stale: it returns a value that was overwritten before the read began. None if it has no such
    read. Values must be unique. No order explains the result, so a checker that accepts it checks nothing."""
    writes = {op.argument: op for op in operations if op.kind == "write" and op.returned is not None}
    for place, read in enumerate(operations):
        if read.kind != "read" or read.returned is None or read.result not in writes:
            continue
        last = writes[read.result]
        for value, earlier in writes.items():
            if earlier.returned < last.invoked and last.returned < read.invoked and value != read.result:
                return operations[:place] + [read._replace(result=value)] + operations[place + 1 :]
    return None
