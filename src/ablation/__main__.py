"""``python -m ablation``."""

import gc
import signal
import sys

from ablation.warm_start import run_warm

try:
    run_warm(sys.argv[1:])
    from ablation.cli import main
except KeyboardInterrupt:  # later interrupts are reported by `main`
    print("error: stopped by SIGINT", file=sys.stderr)
    sys.exit(128 + signal.SIGINT)

main()
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done
gc.freeze()  # collecting what TensorFlow has imported would take most of a second
