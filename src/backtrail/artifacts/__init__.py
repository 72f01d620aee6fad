"""Run directories: identity on disk, declared tables, manifest and seal."""
