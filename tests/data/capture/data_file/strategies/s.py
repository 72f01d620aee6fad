from backtrail.engine.api import data_file
import helper

ONE = data_file('one.csv')


def initialize(context):
    context.two = data_file(name='data/two.json')
