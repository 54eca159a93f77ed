"""The sweep that a PyTorch user would write: train one network and attack it, seed after seed."""

import numpy as np
import torch

RATE = 3e-3


def cell(seed: int, dim: int, *, points: int, steps: int, attacked: int) -> float:
    """Train one two-layer network, on the default device, and attack it.

    Returns the median of the shorter of two perturbations.
    """
    inputs, signs = mixed_hypercube(seed, dim, points)
    network = trained(inputs, signs, steps)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    margin = lambda x: network(x)[:, 0] * signs[:attacked]
    clean = inputs[:attacked]
    return float(torch.minimum(_deepfool(margin, clean), _ddn(margin, clean)).median())


def mixed_hypercube(seed: int, dim: int, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Signs mixed by a Gaussian matrix, and the last one of each."""
    torch.manual_seed(seed)
    codes = 2.0 * torch.randint(0, 2, (points, dim)) - 1
    return codes @ torch.randn(dim, dim).T, codes[:, -1]


def trained(inputs: torch.Tensor, signs: torch.Tensor, steps: int) -> torch.nn.Module:
    """A two-layer ReLU network after so many steps of Adam on all points."""
    dim = inputs.shape[1]
    network = torch.nn.Sequential(
        torch.nn.Linear(dim, 2 * dim), torch.nn.ReLU(), torch.nn.Linear(2 * dim, 1)
    )
    torch.nn.init.kaiming_normal_(network[0].weight)  # as here: other scales train otherwise
    torch.nn.init.normal_(network[2].weight, std=(2 * dim) ** -0.5)
    torch.nn.init.zeros_(network[0].bias)
    torch.nn.init.zeros_(network[2].bias)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(network(inputs)[:, 0], signs)
        loss.backward()
        optimizer.step()
    return network


def _value_and_gradient(margin, x):
    x = x.detach().requires_grad_()
    values = margin(x)
    return values.detach(), torch.autograd.grad(values.sum(), x)[0]


def _deepfool(margin, clean, steps: int = 50, overshoot: float = 0.02):
    x = clean.clone()
    for _ in range(steps):
        values, gradient = _value_and_gradient(margin, x)
        step = -(1 + overshoot) * values / gradient.square().sum(1).clamp_min(1e-12)
        x = torch.where((values > 0)[:, None], x + step[:, None] * gradient, x)
        if not bool((values > 0).any()):
            break
    norms = (x - clean).norm(dim=1)
    return torch.where(margin(x) < 0, norms, torch.inf)


def _ddn(margin, clean, steps: int = 100, gamma: float = 0.05):
    delta, norm = torch.zeros_like(clean), torch.ones(len(clean))
    best = torch.full((len(clean),), torch.inf)
    for at in range(steps):
        rate = 0.01 + 0.99 * (1 + np.cos(np.pi * at / steps)) / 2
        values, gradient = _value_and_gradient(margin, clean + delta)
        lengths = delta.norm(dim=1)
        best = torch.where((values < 0) & (lengths < best), lengths, best)
        norm = norm * torch.where(values < 0, 1 - gamma, 1 + gamma)
        unit = gradient / gradient.norm(dim=1, keepdim=True).clamp_min(1e-12)
        delta = delta - rate * unit
        delta = delta * (norm / delta.norm(dim=1).clamp_min(1e-12))[:, None]
    return best
