"""Data sets: from TensorFlow Datasets to arrays that training reads at memory speed."""
