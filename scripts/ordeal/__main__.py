import sys

from ordeal.cli import main

sys.exit(main(sys.argv[1:]))
