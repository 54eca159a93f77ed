"""The attacks of other libraries that look for a minimal perturbation, one small entry each.

`peers(ord, full)` lists those whose library imports; `absent()` says which do not and why. An
entry's `run(model, images, labels)` returns images (n, 1, 28, 28), adversarial or not: they are
judged elsewhere. Settings are the libraries' defaults unless the name says otherwise.

`adv-lib` (adversarial-library) imports visdom, whose latest release on some indices does not build
with setuptools 81 or newer: `PIP_CONSTRAINT=<(echo 'setuptools<81') pip install adv-lib` helps.
"""

import importlib
import importlib.metadata
import math
import warnings
from collections.abc import Callable
from functools import cache, partial
from types import ModuleType
from typing import Any, NamedTuple

import torch

Run = Callable[[torch.nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]

INF = math.inf
NAMES = {1: "l1", 2: "l2", INF: "linf"}
LIBRARIES = ("adv_lib", "foolbox", "torchattacks", "attackbench")


class Peer(NamedTuple):
    """One attack with its settings, for one norm."""

    name: str
    library: str
    run: Run
    cost: int  # about how many gradients an image, to run the cheap ones first


class Counted(torch.nn.Module):
    """A network that counts the images that backward passes were made for."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network
        self.backward_passes = 0
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of a batch."""
        logits = self.network(images)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, grad: torch.Tensor) -> None:
        # Attacks that take one image's logits apart pass a gradient for all of them.
        self.backward_passes += len(grad)


@cache
def _import(name: str) -> ModuleType | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except Exception as error:  # whatever an incompatible release raises
        return f"{type(error).__name__}: {error}"


def absent() -> dict[str, str]:
    """Libraries that do not import, with the error."""
    tried = {name: _import(name) for name in LIBRARIES}
    return {name: error for name, error in tried.items() if isinstance(error, str)}


def versions() -> dict[str, str]:
    """Versions of the libraries that import, by the names that they are installed by."""
    found = importlib.metadata.packages_distributions()
    names = [found[name][0] for name in LIBRARIES if name not in absent() and name in found]
    return {name: importlib.metadata.version(name) for name in names}


def peers(ord: float, full: bool = False) -> list[Peer]:
    """Every attack for this norm, the cheap ones first; with `full` the very slow ones, too."""
    sources = {
        "adv_lib": _adversarial_library,
        "foolbox": _foolbox,
        "torchattacks": _torchattacks,
        "attackbench": _attackbench,
    }
    missing = absent()
    entries = [
        Peer(name, library, run, cost)
        for library, list_attacks in sources.items()
        if library not in missing
        for name, run, cost in list_attacks(ord, full)
    ]
    return sorted(entries, key=lambda entry: entry.cost)


def every_class(attack: Callable, ord: float) -> Run:
    """Run a targeted attack once for each other class; the shortest answer of each image."""

    def run(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        num_classes = model(images[:1]).shape[1]
        best, shortest = images.clone(), torch.full((len(images),), INF, device=images.device)
        for shift in range(1, num_classes):
            found = attack(model, images, (labels + shift) % num_classes)
            size = (found - images).flatten(1).norm(p=ord, dim=1)
            with torch.no_grad():
                better = (model(found).argmax(1) != labels) & (size < shortest)
            best[better], shortest[better] = found[better], size[better]
        return best

    return run


def _adversarial_library(ord: float, full: bool) -> list[tuple[str, Run, int]]:
    from adv_lib import attacks
    from adv_lib.attacks.auto_pgd import minimal_apgd

    def bind(attack: Callable, **options: Any) -> Run:
        return lambda model, images, labels: attack(model, images, labels, **options)

    fmn = partial(bind, attacks.fmn, norm=ord)
    fmn_targeted = lambda steps: every_class(
        lambda *args: attacks.fmn(*args, norm=ord, targeted=True, steps=steps), ord
    )
    entries = [
        ("FMN 100", fmn(steps=100), 100),
        ("FMN 300", fmn(steps=300), 300),
        ("FMN 1000", fmn(steps=1000), 1000),
        ("FMN, 9 classes x 200", fmn_targeted(200), 1800),
        ("FAB 100", bind(attacks.fab, norm=ord, n_iter=100), 900),
        ("FAB, 9 classes x 100", bind(attacks.fab, norm=ord, targeted_restarts=True), 900),
        ("PDPGD 500", bind(attacks.pdpgd, norm=ord), 500),
    ]
    # Bisection over the radius, 20 times 100 steps; for l1 as its paper prescribes.
    search = partial(minimal_apgd, norm=ord, max_eps={1: 100.0, 2: 10.0, INF: 1.0}[ord])
    search = partial(search, use_large_reps=ord == 1)
    entries.append(("APGD 100, 20 bisections", bind(search), 2000))
    if ord == 2:
        ddn_targeted = every_class(lambda *a: attacks.ddn(*a, targeted=True, steps=300), 2)
        entries += [
            ("DDN 100", bind(attacks.ddn, steps=100), 100),
            ("DDN 1000", bind(attacks.ddn, steps=1000), 1000),
            ("DDN 1000, no 8-bit levels", bind(attacks.ddn, steps=1000, levels=None), 1000),
            ("DDN, 9 classes x 300", ddn_targeted, 2700),
            ("ALMA 100", bind(attacks.alma, num_steps=100, α=0.5, init_lr_distance=0.3), 100),
            ("ALMA 1000", bind(attacks.alma, num_steps=1000), 1000),
            ("SuperDeepFool", bind(attacks.sdf), 250),
            ("PDGD 500", bind(attacks.pdgd), 500),
        ]
        long = bind(attacks.carlini_wagner_l2, max_iterations=1000)
        if full:
            entries.append(("C&W, 9 x 1000", long, 9000))
    if ord == 1:
        alma = partial(bind, attacks.alma, distance="l1", init_lr_distance=0.5)
        entries += [
            ("ALMA 100", alma(num_steps=100, α=0.5), 100),
            ("ALMA 1000", alma(num_steps=1000), 1000),
        ]
    if ord != 1:
        entries += [
            ("DeepFool", bind(attacks.df, norm=ord), 30),
            ("trust region", bind(attacks.tr, p=ord), 100),
            ("trust region, adaptive", bind(attacks.tr, p=ord, adaptive=True), 100),
        ]
    if ord == INF:
        entries.append(("FMN 1000, step 10", fmn(steps=1000, α_init=10), 1000))
        if full:
            entries.append(("C&W", bind(attacks.carlini_wagner_linf), 20000))
    return entries


def _foolbox(ord: float, full: bool) -> list[tuple[str, Run, int]]:
    import foolbox
    from foolbox import attacks

    def bind(attack: Any) -> Run:
        def run(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device=images.device)
            return attack.run(wrapped, images, foolbox.Misclassification(labels))

        return run

    kind = {1: "L1", 2: "L2", INF: "LInf"}[ord]
    fmn = getattr(attacks, f"{kind}FMNAttack")
    entries = [("FMN 100", bind(fmn(steps=100)), 100), ("FMN 1000", bind(fmn(steps=1000)), 1000)]
    if ord != 1:
        deepfool = attacks.L2DeepFoolAttack if ord == 2 else attacks.LinfDeepFoolAttack
        entries.append(("DeepFool", bind(deepfool()), 300))
    if ord == 2:
        entries += [
            ("DDN 100", bind(attacks.DDNAttack()), 100),
            ("DDN 1000", bind(attacks.DDNAttack(steps=1000)), 1000),
        ]
        if full:
            long = attacks.L2CarliniWagnerAttack(binary_search_steps=9, steps=1000)
            entries.append(("C&W, 9 x 1000", bind(long), 9000))
    if ord == 1 and full:
        long = attacks.EADAttack(binary_search_steps=9, steps=1000, decision_rule="L1")
        entries.append(("EAD, 9 x 1000", bind(long), 9000))
    return entries


def _torchattacks(ord: float, full: bool) -> list[tuple[str, Run, int]]:
    import torchattacks

    def bind(attack: Callable, **options: Any) -> Run:
        return lambda model, images, labels: attack(model, **options)(images, labels)

    kind = {1: "L1", 2: "L2", INF: "Linf"}[ord]
    # `eps=None` stands for the library's table: 5, 1 and 0.3.
    fab = partial(bind, torchattacks.FAB, norm=kind, steps=100, eps=None)
    entries = [
        ("FAB 100", fab(), 1000),
        ("FAB, 9 classes x 100", fab(multi_targeted=True), 900),
    ]
    if ord == 2:
        entries += [
            ("DeepFool", bind(torchattacks.DeepFool), 40),
            ("C&W 50", bind(torchattacks.CW), 50),
            ("C&W 1000", bind(torchattacks.CW, steps=1000), 1000),
        ]
    return entries


def _attackbench(ord: float, full: bool) -> list[tuple[str, Run, int]]:
    """AttackBench's copies of the authors' implementations, and its own of what it calls original.

    Its FAB has a targeted variant, but the constructor switches that off.
    """
    where = "attackbench.attacks.original"
    kind = NAMES[ord]

    def bind(module: str, name: str, **options: Any) -> Run:
        attack = getattr(importlib.import_module(f"{where}.{module}"), name)
        return lambda model, images, labels: attack(model, images, labels, **options)

    step = {1: 1.0, 2: 1.0, INF: 10.0}[ord]  # AttackBench's own choice
    fmn = partial(bind, "fast_minimum_norm", "fmn_attack", threat_model=kind, max_stepsize=step)
    fab = partial(bind, "fast_adaptive_boundary", "fab_attack", threat_model=kind)
    entries = [
        ("FMN 1000", fmn(steps=1000), 1000),
        ("FAB 100", fab(), 1000),
    ]
    if ord != 1:
        trust_region = partial(bind, "trust_region", "tr_attack", threat_model=kind)
        entries.append(("trust region", trust_region(adaptive=True), 100))
    if ord == 2:
        entries += [
            ("DeepFool", bind("deepfool", "deepfool_attack"), 40),
            ("SuperDeepFool", bind("superdeepfool", "superdeepfool_attack"), 50),
        ]
    return entries
