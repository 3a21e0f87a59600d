"""Samples of any shape on disk: reading, preparing, batching; and storing a model's outputs."""

from runner.data import batches, predictions, random_inputs, rows, storage
from runner.data.arrays import ArrayFolder
from runner.data.batches import Batch
from runner.data.pictures import picture_problems, picture_tensor, write_pictures
from runner.data.preprocess import Geometry, Normalisation, geometry_problems, load_picture, normalise, resized_size
from runner.data.reader import HashFiles, Policy, Reader, Request
from runner.data.rows import Row
