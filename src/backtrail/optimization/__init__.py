"""Parameter spaces and sweeps: many parameter sets of one strategy on one dataset."""
