mean = median = None
