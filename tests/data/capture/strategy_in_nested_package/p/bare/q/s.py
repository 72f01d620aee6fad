from ...m import x
