"""How much is measured of what takes a matrix a seed."""

from .._claim import Size


def _chunk(dim: int) -> int:
    """Seeds in one compiled call: as many matrices as fit into the cache."""
    return max(16, min(1024, 2**17 // dim**2 * 16))


def _seeds(dim: int) -> int:
    """Fewer where one of them takes long."""
    return 1024 if dim <= 128 else 256


LINEAR = {
    "quick": Size({"dim": (8, 16, 32, 64)}, 256, _chunk),
    "default": Size({"dim": (8, 16, 32, 64, 128, 256, 512)}, _seeds, _chunk),
    "full": Size({"dim": (8, 16, 32, 64, 128, 256, 512, 1024)}, 1024, _chunk),
}
