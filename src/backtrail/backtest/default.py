"""What stands for an argument that is not given, where None has a meaning of its own."""

from enum import Enum

__all__ = ["DEFAULT", "Default"]


class Default(Enum):
    """An argument that is not given: the project's config decides, then the schema."""

    DEFAULT = "as configured"

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT = Default.DEFAULT
