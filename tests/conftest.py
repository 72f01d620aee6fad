"""Settings of the whole suite."""

from hypothesis import settings

# No timed assertions: a busy machine is no fault of the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
