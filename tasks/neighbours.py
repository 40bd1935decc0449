"""Nearest-neighbour prediction from frozen features, without training."""

import numpy as np
from sklearn import config_context
from sklearn.neighbors import NearestNeighbors

from motionbeat.tasks.metrics.per_track import Floats

NEIGHBOURS = 10
_MEGABYTES = 64  # of distances at once; with scikit-learn's 1,000 a large test set takes as much


def knn_predict(train_features: Floats, targets: Floats, features: Floats) -> Floats:
    """Mean targets of the ten most similar training tracks, weighted by cosine similarity.

    Args:
        train_features: (n, width) standardised features of the training tracks.
        targets: (n, outputs); NaN where unknown.
        features: (m, width) standardised features of the tracks to predict.

    Returns:
        (m, outputs); where the targets of all ten are unknown, the mean over all training tracks.
    """
    search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(targets)), metric="cosine")
    with config_context(working_memory=_MEGABYTES):
        distances, found = search.fit(train_features).kneighbors(features)
    weights = np.maximum(1 - distances, 1e-6)[..., None]
    near = targets[found]
    counted = weights * np.isfinite(near)
    total = counted.sum(axis=1)
    means = (counted * np.nan_to_num(near)).sum(axis=1) / np.maximum(total, 1e-12)
    answer: Floats = np.where(total > 0, means, np.nanmean(targets, axis=0))
    return answer
