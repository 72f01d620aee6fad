"""From a batch config to run specs, a plan, and the stages of a run."""
