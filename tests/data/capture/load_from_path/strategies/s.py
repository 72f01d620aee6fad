import importlib.util
import runpy

if False:
    importlib.util.spec_from_file_location('x', 'x.py')
    runpy.run_path('y.py')
