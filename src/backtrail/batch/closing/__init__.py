"""The end of a batch: the catalog brought level, the comparison page, the summary."""
