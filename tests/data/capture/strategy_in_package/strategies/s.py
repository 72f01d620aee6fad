from .near import x
