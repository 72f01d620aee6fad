"""Report pages beside those of other libraries."""
