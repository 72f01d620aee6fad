import a
import b
