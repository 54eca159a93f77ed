"""What many claims say together: one figure, and sentences computed from their verdicts."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..drawing import Drawing, Row, count, forest, number
from ..experiments import Findings, Verdict
from ..statistics import axes
from ..vocabulary import level

_ROWS = 36  # of the figure, which a page has room for
_LISTED = 8  # names in one sentence
_STOPS = 3  # laws of which it is told where they stop
_ORDER = ("holds", "undecided", "does not hold")
# From the photographs that `fracture analyze imagenet` compares to those that ImageNet has.
_PHOTOGRAPHS, _IMAGENET = 20, 1_281_167


class _Ruled(NamedTuple):
    """A verdict, what its law is called among all, and whether a distribution was tested."""

    claim: str
    law: str
    verdict: Verdict
    exact: bool


def verdict_map(findings: Mapping[str, Findings]) -> Drawing:
    """One figure of all verdicts: the law, its effect with the interval, and the word.

    Parameters
    ----------
    findings
        Claims by name.

    Returns
    -------
    Drawing
        The effect of a law is `Verdict.effect`; laws without one, for lack of an interval, are
        named by the caption. Of claims with many laws those are drawn that are furthest from what
        is claimed, of each word in turn.
    """
    every = _ruled(findings)
    ruled = _drawn(every)
    rows, bare = [], []
    for one in sorted(ruled, key=lambda one: _ORDER.index(one.verdict.word)):
        label, found = one.law, one.verdict.effect
        if found is None:
            bare.append(f"{label} ({one.verdict.word})")
        else:
            label += f" (≥ {number(found.claimed)})" if found.or_more else ""
            rows.append(Row(label, *found[1:4], found.claimed, one.verdict.word))
    note = "Of several places along an axis, the one that is furthest from what is claimed."
    if bare:
        note += f" Without an interval: {', '.join(bare)}."
    if len(ruled) < len(every):
        note += f" Not drawn: {len(every) - len(ruled)} further laws of claims with many."
    return forest(rows, title="What was claimed, and what was measured", note=note)


def verdict_sentences(findings: Mapping[str, Findings]) -> list[str]:
    """What holds, where it stops, and what references do: ten sentences at most.

    Parameters
    ----------
    findings
        Claims by name.

    Returns
    -------
    list of str
        Computed from verdicts and summaries alone.
    """
    ruled = _ruled(findings)
    return [
        *_counted(ruled, len(findings)),
        *_exact([one for one in ruled if one.exact]),
        *_trained([one for one in ruled if one.verdict.trained and not one.exact]),
        *_others([one for one in ruled if not (one.verdict.trained or one.exact)]),
        *_references(findings),
        *_undecided(ruled),
    ]


def _ruled(findings: Mapping[str, Findings]) -> list[_Ruled]:
    """All verdicts; where laws have one name, that of the claim is added."""
    judged = [
        (name.replace("_", " "), verdict)
        for name, found in findings.items()
        for verdict in found.verdicts
    ]
    laws = Counter(verdict.law for _, verdict in judged)
    return [
        _Ruled(
            claim,
            verdict.law if laws[verdict.law] == 1 else f"{verdict.law} ({claim})",
            verdict,
            any("Kolmogorov" in one.what for one in verdict.evidence),
        )
        for claim, verdict in judged
    ]


def _drawn(ruled: Sequence[_Ruled]) -> list[_Ruled]:
    """As many of each claim as there is room for: the furthest of each word in turn."""
    claims: dict[str, list[_Ruled]] = {}
    for one in ruled:
        claims.setdefault(one.claim, []).append(one)
    room = lambda each: sum(min(each, len(owned)) for owned in claims.values()) <= _ROWS
    each = next((n for n in range(len(ruled), 0, -1) if room(n)), 1)
    kept: list[_Ruled] = []
    for owned in claims.values():
        far = sorted(owned, key=_departure, reverse=True)
        by_word = ([one for one in far if one.verdict.word == word] for word in _ORDER)
        in_turn = [one for turn in itertools.zip_longest(*by_word) for one in turn if one]
        kept.extend(in_turn[:each])
    return [one for one in ruled if one in kept]


def _having(ruled: Sequence[_Ruled], holds: bool | None) -> list[_Ruled]:
    return [one for one in ruled if one.verdict.holds is holds]


def _counted(ruled: Sequence[_Ruled], claims: int) -> Iterator[str]:
    words = [one.verdict.word for one in ruled]
    hold, stop, open_ = (words.count(word) for word in ("holds", "does not hold", "undecided"))
    put = "claims put" if claims > 1 else "claim puts"
    yield (
        f"Of {len(ruled)} laws that {claims} {put} to the test, {hold} hold within what is stated "
        f"of each, {stop} do not, and {open_} are undecided."
    )


def _exact(ruled: Sequence[_Ruled]) -> Iterator[str]:
    """Laws that are distributions, and what the largest deviation is that is not excluded."""
    hold, off = _having(ruled, True), ""
    scales = [one.verdict.effect for one in hold if one.verdict.effect is not None]
    if scales:
        most = max(max(found.high - 1, 1 - found.low) for found in scales)
        off = f", with medians less than {math.ceil(100 * most)} % off"
    yield from _by_claim("As exact distributions", ruled, off)


def _trained(ruled: Sequence[_Ruled]) -> Iterator[str]:
    """Laws of trained networks: which hold, and where the furthest of the others stop."""
    yield from _by_claim("For trained networks", ruled)
    for one in sorted(_having(ruled, False), key=_departure, reverse=True)[:_STOPS]:
        yield f"{one.law}: {one.verdict.finding}."


def _departure(one: _Ruled) -> float:
    """How far a law is from what is claimed; those without a number come last."""
    found = one.verdict.effect
    return -math.inf if found is None else found.departure


def _others(ruled: Sequence[_Ruled]) -> Iterator[str]:
    """Laws of networks that were not trained, by what is no test of a distribution."""
    yield from _by_claim("Where nothing is trained", ruled)


def _by_claim(where: str, ruled: Sequence[_Ruled], how: str = "") -> Iterator[str]:
    """How many laws hold, and of which claims all, some or none do."""
    if not ruled:
        return
    of, held = (Counter(one.claim for one in some) for some in (ruled, _having(ruled, True)))
    mixed = [claim for claim in of if 0 < held[claim] < of[claim]]
    parts = {
        "all of": [claim for claim in of if held[claim] == of[claim]],
        "some of": [f"{claim} ({held[claim]} of {of[claim]})" for claim in mixed],
        "none of": [claim for claim in of if not held[claim]],
    }
    said = "; ".join(f"{part} {', '.join(claims)}" for part, claims in parts.items() if claims)
    open_ = len(_having(ruled, None))
    how += f", and {open_} {'is' if open_ == 1 else 'are'} undecided" if open_ else ""
    yield f"{where}, {held.total()} of {of.total()} laws hold{how}: {said}."


def _undecided(ruled: Sequence[_Ruled]) -> Iterator[str]:
    names = list(dict.fromkeys(one.law for one in _having(ruled, None)))
    said = "This is undecided" if len(names) == 1 else "These are undecided"
    if len(names) > _LISTED:
        names = [*names[:_LISTED], f"and {len(names) - _LISTED} more"]
    if names:
        yield f"{said}: {'; '.join(names)}."


def _references(findings: Mapping[str, Findings]) -> Iterator[str]:
    """What a ratio to the nearest reference means, where more and more of them are searched."""
    for found in findings.values():
        name = "ratio_pair_by_references"
        if name not in found.summary:
            continue
        axis = axes(found.dataset)[0]
        last = found.summary[name].isel({axis: -1}, drop=False)
        counts, ratios = last["references"].values.astype(float), np.asarray(last, float)
        first, best = ratios[0], ratios[-1]
        place = level(axis, last[axis].item(), last[axis].attrs)
        if not (first > 0 and best > 0 and counts[-1] > counts[0]):
            continue
        slope = math.log(best / first) / math.log(counts[-1] / counts[0])
        factor = (_IMAGENET / _PHOTOGRAPHS) ** slope
        yield (
            "On real images the optimal radius is an upper bound, half the distance to the nearest "
            "reference of another class: "
            f"from {count(counts[0])} to {count(counts[-1])} references the ratio at {place} goes "
            f"from {number(first)} to {number(best)}."
        )
        yield (
            f"If that went on from {_PHOTOGRAPHS} photographs to all {_IMAGENET:,} images of "
            f"ImageNet, a ratio measured with those few would be multiplied by {number(factor)}."
        )
        return
