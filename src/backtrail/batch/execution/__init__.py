"""One run in a child process: forked, limited, watched, its answer written as tables."""
