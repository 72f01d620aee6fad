try:
    import nowhere.at.all
except ImportError:
    pass
import a
