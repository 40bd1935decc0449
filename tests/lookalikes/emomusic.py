"""A tiny EmoMusic: MP3 clips named by number, cells padded with tabs, gaps in the numbers."""

from pathlib import Path

from tests import lookalikes

HOME = "emomusic"
COUNTS = {"emomusic": 20}
PATCHES = []

# The hashes lead to training and to validation; two names have letters that do not count.
ARTISTS = ("Kevin MacLeod", "Jahzzar", "The Agrarians", "Vieux Farka Touré", "Latché Swing")


def write(folder: Path) -> None:
    tables = folder / "annotations"
    tables.mkdir(parents=True)
    songs = [
        "song_id,file_name,Artist,Song title,start of the segment (min.sec),"
        "end of the segment (min.sec),Genre,Mediaeval 2013 set"
    ]
    means = ["song_id,mean_arousal,std_arousal,mean_valence,std_valence"]
    for number in range(20):
        id = 2 + 7 * number
        part = "evaluation" if number % 4 == 0 else "development"
        songs.append(
            f'{id},"\t{id}.mp3","{ARTISTS[number % 5]}\t","\tA song, its number {id}\t",0.36,1.21,'
            f'"\tBlues\t",{part}'
        )
        means.append(f"{id},{1 + number * 8 / 19:.4g},0.9,{9 - number * 8 / 19:.4g},0.7")
        lookalikes.write_audio(folder / f"clips_45seconds/{id}.mp3", number, 1.5, 44100)
    (tables / "songs_info.csv").write_text("\n".join(songs) + "\n")
    (tables / "static_annotations.csv").write_text("\n".join(means) + "\n")
