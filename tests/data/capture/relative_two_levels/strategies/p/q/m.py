from .. import x
from ..a.b import y
