"""The checker of register histories: what it must accept, and what it must refuse."""

import random

import pytest
from wgl import Operation, is_linearizable, make_stale


def op(kind, argument, result, invoked, returned):
    return Operation(kind, argument, result, invoked, returned)


ACCEPTED = {
    "nothing": [],
    "read of nothing": [op("read", None, None, 0, 1)],
    "read during a write sees either": [
        op("write", 1, True, 0, 10),
        op("read", None, None, 1, 2),
        op("read", None, 1, 3, 4),
    ],
    "unknown write seen late": [op("write", 1, None, 0, None), op("read", None, None, 1, 2), op("read", None, 1, 8, 9)],
    "unknown write never seen": [op("write", 1, None, 0, None), op("read", None, None, 5, 6)],
    "cas over a concurrent write": [
        op("write", 1, True, 0, 5),
        op("cas", (1, 2), True, 1, 9),
        op("read", None, 2, 10, 11),
    ],
    "cas refused": [op("write", 1, True, 0, 1), op("cas", (5, 6), False, 2, 3), op("read", None, 1, 4, 5)],
    "unknown cas": [op("write", 1, True, 0, 1), op("cas", (1, 2), None, 2, None), op("read", None, 2, 4, 5)],
    "two writers, order by the reads": [
        op("write", 1, True, 0, 10),
        op("write", 2, True, 0, 10),
        op("read", None, 2, 11, 12),
    ],
}

REFUSED = {
    "read of a value that nobody wrote": [op("read", None, 1, 0, 1)],
    "stale read": [op("write", 1, True, 0, 1), op("write", 2, True, 2, 3), op("read", None, 1, 4, 5)],
    "lost write": [op("write", 1, True, 0, 1), op("read", None, None, 2, 3)],
    "back in time": [op("write", 1, True, 0, 10), op("read", None, 1, 1, 2), op("read", None, None, 3, 4)],
    "cas twice from one value": [
        op("write", 1, True, 0, 1),
        op("cas", (1, 2), True, 2, 3),
        op("cas", (1, 3), True, 4, 5),
    ],
    "cas refused although it fits": [op("write", 1, True, 0, 1), op("cas", (1, 2), False, 2, 3)],
    "unknown write seen, gone, seen": [
        op("write", 1, True, 0, 1),
        op("write", 2, None, 2, None),
        op("read", None, 2, 3, 4),
        op("read", None, 1, 5, 6),
    ],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name):
    assert is_linearizable(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    assert not is_linearizable(REFUSED[name])


def random_history(seed):
    """A history of a real register with operations that overlap: each takes effect at a moment within it."""
    chance, value, now, open_, history = random.Random(seed), None, 0, [], []
    for number in range(60):
        now += 1
        kind = chance.choice(["read", "write", "cas"])
        argument = number if kind == "write" else (chance.choice([value, number]), number) if kind == "cas" else None
        effect = now + chance.randrange(1, 8)
        open_.append((effect, kind, argument, now))
        for entry in sorted((entry for entry in open_ if entry[0] <= now), key=lambda entry: entry[0]):
            open_.remove(entry)
            effect, kind, argument, invoked = entry
            result = True
            if kind == "write":
                value = argument
            elif kind == "cas":
                result = value == argument[0]
                value = argument[1] if result else value
            else:
                result = value
            history.append(op(kind, argument, result, invoked, now + 0.5 + chance.random() / 4))
    return history


@pytest.mark.parametrize("seed", range(200))
def test_real_histories_are_accepted_and_stale_ones_refused(seed):
    history = random_history(seed)
    assert is_linearizable(history)
    stale = make_stale(history)
    assert stale is None or not is_linearizable(stale)


def test_most_histories_can_be_made_stale():
    assert sum(make_stale(random_history(seed)) is not None for seed in range(200)) > 150
