from backtrail.engine.api import data_file


def initialize(context):
    return data_file(f'{context.name}.csv')
