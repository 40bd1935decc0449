"""A tiny DEAM: two tables of means, three tables of artists with ragged rows, MP3 files."""

from pathlib import Path

from tests import lookalikes

HOME = "deam"
COUNTS = {"deam": 24}
PATCHES = []

LEVEL = "annotations/annotations averaged per song/song_level"
FILES = {
    2013: "song_id,file_name,Artist,Song title,start of the segment (min.sec),"
    "end of the segment (min.sec),Genre",
    2014: "Id,Artist,Album,Track,Genre,segment start,segment end,labels",
    2015: "id,Filename,title,artist,album,genre",
}


def write(folder: Path) -> None:
    level = folder / LEVEL
    level.mkdir(parents=True)
    (folder / "metadata").mkdir()
    means = ["song_id, valence_mean, valence_std, arousal_mean, arousal_std"]
    means2015 = [means[0] + ", valence_ max_mean, valence_max_std"]
    lines = {year: [header] for year, header in FILES.items()}
    for number in range(24):
        rates = f"{1 + number / 3:.2f},0.9,{9 - number / 3:.2f},0.8"
        if number < 10:
            id, artist = 2 + number, f"Choir {number % 5}"
            means.append(f"{id},{rates}")
            lines[2013].append(f'{id},"\t{id}.mp3","{artist}\t","\tSong\t",0.1,0.55,"\tBlues\t"')
        elif number < 20:
            id, artist = 1000 + number, f"CHOIR {7 if number == 12 else number - 7}"
            means.append(f"{id},{rates}")
            tags = ",".join(f"tag {n}" for n in range(number))
            lines[2014].append(f"{id},{artist},An album, or two,Song,Pop-Rock,0.1,0.55,{tags}")
        else:
            id = 1981 + number
            means2015.append(f"{id},{rates},9,0.5")
            lines[2015].append(f"{id},{id}.mp3,Song,{'' if number == 23 else 'Choir 1'},n/a,Rock")
        path, channels = folder / f"MEMD_audio/{id}.mp3", 2 - number % 2
        lookalikes.write_audio(path, number, 1.5, 44100, channels=channels)
    (level / "static_annotations_averaged_songs_1_2000.csv").write_text("\n".join(means))
    (level / "static_annotations_averaged_songs_2000_2058.csv").write_text("\n".join(means2015))
    for year, rows in lines.items():
        (folder / f"metadata/metadata_{year}.csv").write_text("\n".join(rows), encoding="utf-8")
