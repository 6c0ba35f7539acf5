"""`python -m benchmarks`."""

import sys

from benchmarks.verify import main

sys.exit(main())
