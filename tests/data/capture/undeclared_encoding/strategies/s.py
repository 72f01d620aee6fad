try:
    import a
except SyntaxError:
    pass
