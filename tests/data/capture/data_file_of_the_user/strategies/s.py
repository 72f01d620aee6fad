def data_file(name):
    return name.upper()


x = data_file('gone.csv')
