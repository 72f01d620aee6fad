import a


def f():
    import nowhere
    import a.b
    from p.none import x
    from .. import y
