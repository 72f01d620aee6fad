"""From a batch config to run keys, directories and a plan, and what the plan still lacks."""
