"""What was run: found, shown, verified, compared, repeated, explained."""
