import random
import json
from statistics import mean
