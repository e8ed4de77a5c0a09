"""`python -m rapport`."""

from __future__ import annotations

import sys

from rapport.cli import main

sys.exit(main())
