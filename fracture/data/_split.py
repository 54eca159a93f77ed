"""Splitting a task into training and test items."""

from typing import Any, TypeVar

from .._checks import check_counts

Task = TypeVar("Task", bound=Any)

PER_ITEM = frozenset({"inputs", "labels", "codes", "clusters", "coefficients"})
"""Fields with one row an item; all others describe the whole task."""


def split(task: Task, num_train: int) -> tuple[Task, Task]:
    """The first `num_train` items and the rest, as two tasks of the same type.

    Parameters
    ----------
    task
        Any task of this package. Fields that belong to the task as a whole (means, factors, …)
        go to both parts.
    num_train
        Number of items of the first part, 1 to the number of items less one.

    Returns
    -------
    train, test
        Tasks of the type of `task`.

    Raises
    ------
    ValueError
        If a part would be empty.
    """
    check_counts(num_train=num_train)
    total = task.inputs.shape[0]
    if num_train >= total:
        raise ValueError(f"num_train must be less than the {total} items, got {num_train}.")
    items = {name: value for name, value in task._asdict().items() if name in PER_ITEM}
    train = {name: value[:num_train] for name, value in items.items()}
    test = {name: value[num_train:] for name, value in items.items()}
    return task._replace(**train), task._replace(**test)
