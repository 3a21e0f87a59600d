"""Samples of any shape on disk: reading, preparing, batching; and storing a model's outputs."""

from runner.data import batches, predictions, random_inputs, rows, storage, whole_samples
from runner.data._preprocess_problems import SCALES, geometry_problems
from runner.data.arrays import ArrayFolder
from runner.data.batches import Batch
from runner.data.picture_files import (
    FORMATS,
    file_names,
    files_source,
    find_pictures,
    list_pictures,
    open_picture,
    opened_picture,
    picture_size,
    root_folder,
    same_name,
    sample_ids,
)
from runner.data.picture_sources import (
    Picture,
    PictureSource,
    TruthArrays,
    picture_bytes,
    picture_problems,
    size_problem,
)
from runner.data.pictures import write_pictures, write_samples
from runner.data.preprocess import Geometry, Normalisation, Placed, normalise, place
from runner.data.reader import HashFiles, Policy, Reader, Request
from runner.data.rows import Row
