from backtrail.engine.api import data_file

x = data_file('gone.csv')
