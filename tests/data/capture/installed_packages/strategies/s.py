import numpy as np
import yaml.loader
from backtrail.engine import TradingAlgorithm
import polars
import a
