"""``python -m tissuemaps.cli``."""

import sys

from tissuemaps.cli.main import main

sys.exit(main(sys.argv[1:]))
