from . import a
from .lib.b import x
from .. import top
