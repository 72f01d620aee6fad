"""Where a result comes from: captured code, its identity, and our own."""
