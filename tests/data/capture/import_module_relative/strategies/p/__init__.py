from importlib import import_module
import_module('.a', __name__)
