"""The rate of a large matrix product, the ceiling of a training step."""

import sys
import time

import tensorflow as tf

from benchmarks.measure import serve
from benchmarks.steps import THREADS

SIZE, TIMES = 2048, 20

if __name__ == "__main__":
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    matrix = tf.cast(tf.ones((SIZE, SIZE)), sys.argv[1])
    tf.matmul(matrix, matrix)

    def rate(_: object) -> float:
        """Return the rate in GFLOP/s."""
        began = time.perf_counter()
        for _ in range(TIMES):
            tf.matmul(matrix, matrix)
        return 2 * SIZE**3 * TIMES / (time.perf_counter() - began) / 1e9

    serve(rate)
