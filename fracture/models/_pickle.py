"""The part of pickle's language that dicts of tensors are written in, and nothing of the rest.

A pickle is a program for a stack machine. This machine knows two dozen of its instructions (PyTorch
uses no others), builds numbers, text, tuples, lists and dicts with text as keys, and calls what it
is given by name; values are never compared, hashed or walked through, however deep they are nested.
"""

import os
import pickle
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

MOST = 10**5  # instructions of one pickle; 40 make a tensor


def read_pickle(file: BinaryIO, names: Mapping[str, Any], persistent: Callable[[Any], Any]) -> Any:
    """The value of the pickle at which the file stands.

    Parameters
    ----------
    file
        A file of known size, at the start of a pickle; after its end on return.
    names
        What the pickle may refer to, by `module.name`; what is callable may be called.
    persistent
        What makes a value of a persistent identity.

    Raises
    ------
    ValueError
        If the pickle does anything else, is damaged, or has more than 100,000 instructions.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def number(size: int, signed: bool = False) -> int:
        return int.from_bytes(take(file, size), "little", signed=signed)

    def marked() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    def last(count: int) -> list[Any]:
        if count > len(stack) - (marks[-1] if marks else 0):
            raise ValueError("it takes more than there is")
        items = stack[-count:]
        del stack[-count:]
        return items

    def top(kind: type) -> Any:
        if not isinstance(stack[-1], kind):
            raise ValueError(f"it changes what is no {kind.__name__}")
        return stack[-1]

    def put(items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str:
                raise ValueError(f"a key is no text but {type(key).__name__}")
            top(dict)[key] = value

    for _ in range(MOST):
        match file.read(1):
            case pickle.PROTO:
                number(1)
            case pickle.STOP:
                (value,) = stack
                return value
            case pickle.MARK:
                marks.append(len(stack))
            case pickle.NONE:
                stack.append(None)
            case pickle.NEWTRUE:
                stack.append(True)
            case pickle.NEWFALSE:
                stack.append(False)
            case pickle.BININT:
                stack.append(number(4, signed=True))
            case pickle.BININT1:
                stack.append(number(1))
            case pickle.BININT2:
                stack.append(number(2))
            case pickle.LONG1:
                stack.append(number(number(1), signed=True))
            case pickle.BINUNICODE:
                stack.append(take(file, number(4)).decode())
            case pickle.EMPTY_TUPLE:
                stack.append(())
            case pickle.TUPLE1:
                stack.append(tuple(last(1)))
            case pickle.TUPLE2:
                stack.append(tuple(last(2)))
            case pickle.TUPLE3:
                stack.append(tuple(last(3)))
            case pickle.TUPLE:
                stack.append(tuple(marked()))
            case pickle.EMPTY_LIST:
                stack.append([])
            case pickle.APPEND:
                items = last(1)
                top(list).extend(items)
            case pickle.APPENDS:
                items = marked()
                top(list).extend(items)
            case pickle.EMPTY_DICT:
                stack.append({})
            case pickle.SETITEM:
                put(last(2))
            case pickle.SETITEMS:
                put(marked())
            case pickle.BINPUT:
                memo[number(1)] = stack[-1]
            case pickle.LONG_BINPUT:
                memo[number(4)] = stack[-1]
            case pickle.BINGET:
                stack.append(memo[number(1)])
            case pickle.LONG_BINGET:
                stack.append(memo[number(4)])
            case pickle.GLOBAL:
                name = ".".join(file.readline(200).decode().removesuffix("\n") for _ in range(2))
                if name not in names:
                    raise ValueError(f"it names {name}, which no dict of tensors needs")
                stack.append(names[name])
            case pickle.REDUCE:
                function, arguments = last(2)
                if not callable(function) or type(arguments) is not tuple:
                    raise ValueError("it calls what is no function")
                stack.append(function(*arguments))
            case pickle.BUILD:  # attributes of a dict, such as its version: left out
                last(1)
                top(dict)
            case pickle.BINPERSID:
                stack.append(persistent(*last(1)))
            case b"":
                raise ValueError("it ends early")
            case other:
                raise ValueError(
                    f"it has the instruction {other!r}, which no dict of tensors needs"
                )
    raise ValueError(f"it has more than {MOST:,} instructions")


def take(file: BinaryIO, count: int) -> bytes:
    """The next `count` bytes of a file; memory is taken only where there are as many."""
    if count > 2**16 and count > os.fstat(file.fileno()).st_size - file.tell():
        raise ValueError("it ends early")
    data = file.read(count)
    if len(data) < count:
        raise ValueError("it ends early")
    return data
