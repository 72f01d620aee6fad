sma = 1
