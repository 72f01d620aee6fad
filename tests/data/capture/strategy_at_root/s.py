from utils.indicators import sma
