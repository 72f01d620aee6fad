import größe
from 指标 import x
