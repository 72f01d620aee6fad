"""What every child process finds around it, whoever starts it and wherever."""

from collections.abc import Mapping
from typing import Final

__all__ = ["ENVIRONMENT"]

ENVIRONMENT: Final[Mapping[str, str]] = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}
"""Variables of a child: one thread, and no difference between two that a strategy could see."""
