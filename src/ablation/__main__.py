"""``python -m ablation``."""

import signal
import sys

try:
    from ablation.cli import main
except KeyboardInterrupt:  # later interrupts are reported by `main`
    print("error: stopped by SIGINT", file=sys.stderr)
    sys.exit(128 + signal.SIGINT)

main()
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done
