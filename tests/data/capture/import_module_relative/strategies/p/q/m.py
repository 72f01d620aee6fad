from importlib import import_module
import_module('..b', __package__)
import_module('.c', package='p.q')
import_module('.d', __spec__.parent)
