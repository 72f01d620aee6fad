from .m import x
from . import n
