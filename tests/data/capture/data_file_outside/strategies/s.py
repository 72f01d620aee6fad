from backtrail.engine.api import data_file

x = data_file('/etc/hostname')
y = data_file('../secret.txt')
