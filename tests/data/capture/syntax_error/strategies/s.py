try:
    import broken
except SyntaxError:
    pass
import a
