"""``python -m ablation``."""

import signal
import sys

try:
    from ablation.cli import main
except KeyboardInterrupt:  # `main` handles one that comes later
    sys.exit(128 + signal.SIGINT)

main()
