from backtrail.engine import api


def f():
    return api.data_file('shared.csv')
