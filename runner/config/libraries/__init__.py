"""Metadata of the networks in timm and torchvision, for model=timm and model=torchvision."""

from runner.config.libraries.ask import FACTS, LISTED_BY, ask, catalogue_of, find, register
from runner.config.libraries.catalogue import Catalogue, Network
