"""``python -m ablation``."""

import gc
import signal
import sys

from ablation.warm_start import run_warm

# Imports make many objects and no garbage; with the usual thresholds, looking for it takes a fifth
# of the time of importing TensorFlow.
gc.set_threshold(50_000, 20, 100)
try:
    run_warm(sys.argv[1:])
    from ablation.cli import main
except KeyboardInterrupt:  # later interrupts are reported by `main`
    print("error: stopped by SIGINT", file=sys.stderr)
    sys.exit(128 + signal.SIGINT)

main()
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done
gc.freeze()  # collecting what TensorFlow has imported would take most of a second
