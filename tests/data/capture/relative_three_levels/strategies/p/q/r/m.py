from ... import x
from ...q.r import n
