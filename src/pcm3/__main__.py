"""``python -m pcm3`` is the command line."""

import sys

from pcm3.cli import main

sys.exit(main())
