def f():
    import fast
