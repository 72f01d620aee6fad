from backtrail.engine.api import data_file as path_of


def initialize(context):
    path_of('a.csv')
    context.data_file('b.csv' if context else 'c.csv')
