from a import mean, median as middle
