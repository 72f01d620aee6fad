from . import x
from .z import y
