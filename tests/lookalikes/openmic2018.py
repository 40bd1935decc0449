"""OpenMIC-2018: clips with an artist, a part and answers about some instruments each."""

import hashlib
import json

from tests import lookalikes

from motionbeat.data_modules.published.collection import hashed_split
from motionbeat.data_modules.published.openmic2018 import INSTRUMENTS

HOME = "openmic2018"
CLIPS = 8
COUNTS = {"openmic2018": 3 * CLIPS}
PATCHES = []

SHARED = "000016_3840"
"""A test clip of an artist who is in training too."""


def artist(split):
    """A number that the hash of artists sends to a split."""
    return next(n for n in range(1, 100) if hashed_split(f"artist {n}", test=0) == split)


def write(folder):
    artists = {"train": artist("train"), "validation": artist("validation"), "test": 1000}
    tracks, parts = {}, {"train": [], "test": []}
    metadata = ["track_id,artist_id,artist_name,track_title,sample_key,start_time"]
    labels = ["sample_key,instrument,relevance,num_responses"]
    for number in range(3 * CLIPS):
        split = list(artists)[number // CLIPS]
        key = f"{number:06d}_3840"
        by = artists["train" if key == SHARED else split]
        parts["test" if split == "test" else "train"].append(key)
        metadata.append(f'{number},{by},"Band, The","A ""song""",{key},3.84')
        for place, instrument in enumerate(sorted(INSTRUMENTS)):
            if place % CLIPS != number % CLIPS:  # nobody was asked about the others
                relevance = 0.5 + 0.1 * (place % 4) if (place + number) % 3 else 0.17
                labels.append(f"{key},{instrument},{relevance},3")
        audio = f"audio/000/{key}.ogg"
        lookalikes.write_audio(
            folder / audio, number, 1.0, rate=44100, channels=2, subtype="VORBIS"
        )
        tracks[key] = {
            "audio": [audio, hashlib.md5((folder / audio).read_bytes()).hexdigest()],
            "vggish": [f"vggish/000/{key}.json", "0" * 32],
        }
    (folder / "partitions").mkdir()
    for part, keys in parts.items():
        (folder / f"partitions/split01_{part}.csv").write_text("\n".join(keys) + "\n")
    (folder / "openmic-2018-metadata.csv").write_text("\n".join(metadata) + "\n")
    (folder / "openmic-2018-aggregated-labels.csv").write_text("\n".join(labels) + "\n")
    index = {"version": "1.0.0", "metadata": {}, "tracks": tracks}
    (folder / "openmic2018_index_1.0.json").write_text(json.dumps(index))
