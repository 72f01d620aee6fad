from importlib import import_module

import_module('p' + '.m')
import_module(f'a')
import_module('b' if a_is_missing() else 'c') if False else None
