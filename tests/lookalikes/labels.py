"""Copies of the datasets with genres, tags, instruments, pitches and emotions."""

import csv
import json
import shutil
import unicodedata
import uuid

from tests.lookalikes import copy, write_audio, write_index, write_text

from motionbeat.data_modules.published.collection import hashed_split
from motionbeat.data_modules.published.emotify import EMOTIONS, GENRES
from motionbeat.data_modules.published.fma_small import FmaSmall
from motionbeat.data_modules.published.irmas import INSTRUMENTS
from motionbeat.data_modules.published.magnatagatune import TAGS
from motionbeat.data_modules.published.medley_solos_db import MedleySolosDB
from motionbeat.data_modules.published.nsynth import NSynth
from motionbeat.data_modules.published.openmic2018 import OpenMIC2018
from motionbeat.data_modules.published.tinysol import TinySOL

ARTISTS = ("Kevin MacLeod", "Jahzzar", "The Agrarians", "Vieux Farka Touré", "Latché Swing")
"""Of EmoMusic: the hashes lead to training and to validation; two have letters not to count."""


@copy("deam", deam=24)
def deam(folder):
    """Two tables of means, three tables of artists with ragged rows, MP3 files."""
    lines = {
        2013: [
            "song_id,file_name,Artist,Song title,start of the segment (min.sec),"
            "end of the segment (min.sec),Genre"
        ],
        2014: ["Id,Artist,Album,Track,Genre,segment start,segment end,labels"],
        2015: ["id,Filename,title,artist,album,genre"],
    }
    header = "song_id, valence_mean, valence_std, arousal_mean, arousal_std"
    means = {"1_2000": [header], "2000_2058": [f"{header}, valence_ max_mean, valence_max_std"]}
    for number in range(24):
        rates = f"{1 + number / 3:.2f},0.9,{9 - number / 3:.2f},0.8"
        if number < 10:
            id = 2 + number
            song = f'"\t{id}.mp3","Choir {number % 5}\t","\tSong\t",0.1,0.55,"\tBlues\t"'
            lines[2013].append(f"{id},{song}")
        elif number < 20:
            id, artist = 1000 + number, f"CHOIR {7 if number == 12 else number - 7}"
            tags = ",".join(f"tag {n}" for n in range(number))
            lines[2014].append(f"{id},{artist},An album, or two,Song,Pop-Rock,0.1,0.55,{tags}")
        else:
            id, artist = 1981 + number, "" if number == 23 else "Choir 1"
            rates += ",9,0.5"
            lines[2015].append(f"{id},{id}.mp3,Song,{artist},n/a,Rock")
        means["1_2000" if id < 2000 else "2000_2058"].append(f"{id},{rates}")
        audio = folder / f"MEMD_audio/{id}.mp3"
        write_audio(audio, number, 1.5, 44100, channels=2 - number % 2)
    level = folder / "annotations/annotations averaged per song/song_level"
    for part, rows in means.items():
        write_text(level / f"static_annotations_averaged_songs_{part}.csv", rows, end="")
    for year, rows in lines.items():
        write_text(folder / f"metadata/metadata_{year}.csv", rows, end="")


@copy("emomusic", emomusic=20)
def emomusic(folder):
    """MP3 clips named by number, cells padded with tabs, gaps in the numbers."""
    songs = [
        "song_id,file_name,Artist,Song title,start of the segment (min.sec),"
        "end of the segment (min.sec),Genre,Mediaeval 2013 set"
    ]
    means = ["song_id,mean_arousal,std_arousal,mean_valence,std_valence"]
    for number in range(20):
        id, part = 2 + 7 * number, "development" if number % 4 else "evaluation"
        song = f'"{ARTISTS[number % 5]}\t","\tA song, its number {id}\t",0.36,1.21,"\tBlues\t"'
        songs.append(f'{id},"\t{id}.mp3",{song},{part}')
        means.append(f"{id},{1 + number * 8 / 19:.4g},0.9,{9 - number * 8 / 19:.4g},0.7")
        write_audio(folder / f"clips_45seconds/{id}.mp3", number, 1.5, 44100)
    write_text(folder / "annotations/songs_info.csv", songs)
    write_text(folder / "annotations/static_annotations.csv", means)


@copy("emotify", emotify=40)
def emotify(folder):
    """Ten artists a genre; the emotions peak in other tracks, in each fold."""
    header = "track,genre,artist,album,title,year,id3_genre,n_ratings,seconds"
    lines = [",".join((header, *EMOTIONS))]
    for number in range(40):
        track, genre = 1 + 100 * (number // 10) + number % 10, GENRES[number // 10]
        rates = ",".join(f"{(number + 10 * place) % 40 / 40:.4f}" for place in range(9))
        song = f'Artist {number},"An album, or two",Song,2008,Any,48,30.0'
        lines.append(f"{track},{genre},{song},{rates}")
        write_audio(folder / f"audio/{track:03d}.ogg", number, 1.5)
    write_text(folder / "labels.csv", lines)


def emotify_whole(folder):
    """Emotify as first published, single answers and six numbered MP3s a genre; 24 tracks."""
    header = ["track id", "genre", *EMOTIONS]
    header += ["mood", "liked", "disliked", "age", "gender", "mother tongue"]
    lines = [", ".join(header)]
    for place, genre in enumerate(GENRES):
        for number in (1, 2, 3, 4, 5, 100):
            for listener in range(3):
                felt = ",".join(str(int((number + listener + n) % 4 == 0)) for n in range(9))
                lines.append(f"{100 * place + number},{genre},{felt},3,1,0,31,0,Dutch")
            write_audio(folder / f"emotifymusic/{genre}/{number}.mp3", number, 1.5, 44100)
    write_text(folder / "data.csv", lines)


@copy("fma", fma_small=24)
def fma_small(folder):
    """Three header rows, other subsets, line breaks in cells, an empty clip."""
    columns = {
        "album": ["id", "information"],
        "artist": ["id", "name"],
        "set": ["split", "subset"],
        "track": ["genre_top", "title"],
    }
    rows = [
        ["", *(first for first, seconds in columns.items() for _ in seconds)],
        ["", *(second for seconds in columns.values() for second in seconds)],
        ["track_id", *[""] * 8],
    ]
    for number in range(24):
        id, genre = 2 + 6101 * number, FmaSmall.classes[number % 8]
        part = ("training", "validation", "test")[number // 8]
        about, artist = 'An album,\nand "more" of it', f"{number // 8}{number // 3}"  # of one split
        rows.append([id, number, about, artist, "A choir", part, "small", genre, "A song"])
        audio = folder / f"fma_small/{f'{id:06d}'[:3]}/{id:06d}.mp3"
        write_audio(audio, number, 1.5, 44100, channels=2)
    rows.append([20, 5, "", 4, "A choir", "training", "large", "", "Without a genre"])
    rows.append([99134, 5, "", 4, "A choir", "training", "small", "Rock", "Cut after its end"])
    table = folder / "fma_metadata/tracks.csv"
    table.parent.mkdir()
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    write_text(folder / "fma_small/099/099134.mp3", [], end="")


def numbers(split):
    """Numbers of IRMAS's recordings that the hash sends to a split."""
    return [f"{n:04d}" for n in range(1, 999) if hashed_split(f"{n:04d}", test=0) == split]


TWICE = (numbers("train")[40], numbers("validation")[20])
"""A recording under two numbers and two instruments; the numbers hash to different splits."""

ACCENTED = unicodedata.normalize("NFD", "01 - Canto das três raças-3")
"""A name as the index has it; the archive does not say that its bytes are UTF-8."""


@copy("irmas", irmas=2 * len(INSTRUMENTS) + 2 + 6)
def irmas(folder):
    """Training clips that say all in their names, test excerpts with texts beside them."""
    clips, tracks = [], {}
    for place, code in enumerate(INSTRUMENTS):
        train, validation = numbers("train")[place], numbers("validation")[place]
        clips.append((f"[{code}][cla]", code, train, "1"))
        clips.append((f"0{place:02d}__[{code}][dru][pop_roc]", code, validation, "2"))
    clips.append(("080__[gac][dru][cou_fol]", "gac", TWICE[0], "1"))
    clips.append(("209__[gel][nod][cou_fol]", "gel", TWICE[1], "1"))
    for seed, (start, code, number, excerpt) in enumerate(clips):
        path = f"IRMAS-TrainingData/{code}/{start}{number}__{excerpt}.wav"
        write_audio(folder / path, seed, 1.0, rate=44100, channels=2)
        if number == TWICE[1]:
            shutil.copyfile(folder / tracks[f"{TWICE[0]}__1"]["audio"], folder / path)
        tracks[f"{number}__{excerpt}"] = {"audio": path, "annotation": path}
    codes, garbled = list(INSTRUMENTS), {}
    for place in range(6):
        name = f"02. Song - No. {place}-1{place}" if place < 5 else ACCENTED
        stem = f"IRMAS-TestingData-Part1/Part1/{name}"
        tracks[str(place + 1)] = {"audio": f"{stem}.wav", "annotation": f"{stem}.txt"}
        write_audio(folder / f"{stem}.wav", 50 + place, 2.0, rate=44100, channels=2)
        write_text(folder / f"{stem}.txt", [f"{code}\t" for code in codes[2 * place :][:2]])
        garbled |= {
            stem + ending: stem.encode().decode("cp437") + ending for ending in (".wav", ".txt")
        }
    write_index(folder, "irmas_index_1.0.json", tracks)
    for listed, stored in garbled.items():
        (folder / listed).rename(folder / stored)


@copy("magnatagatune", magnatagatune=32)
def magnatagatune(folder):
    """MP3 clips in sixteen folders, a wide table, an unreadable clip."""
    rare = ("banjo", "jungle", "trance")
    rows = [("clip_id", *rare, *TAGS, "mp3_path")]
    for number in range(32):
        letter = f"{number // 2:x}"
        path = f"{letter}/some_choir-an_album-{letter}-a_song-{30 * number}-{30 * number + 29}.mp3"
        held = [int(number == 0)] * len(rare) + [(number + n) % 2 for n in range(len(TAGS))]
        rows.append((2 + 3 * number, *held, path))
        write_audio(folder / path, number, 1.5, 16000)
    path = "6/some_choir-an_album-6-a_song-117-146.mp3"
    rows.append(("35644", *[1] * (len(rare) + len(TAGS)), path))
    write_text(folder / path, [], end="")
    lines = ["\t".join(f'"{cell}"' for cell in cells) for cells in rows]
    write_text(folder / "annotations_final.csv", lines)


@copy("medley_solos_db", medley_solos_db=3 * len(MedleySolosDB.classes))
def medley_solos_db(folder):
    """Floating-point clips side by side, told apart by their metadata."""
    lines, tracks = ["subset,instrument,instrument_id,song_id,uuid4"], {}
    for song, subset in enumerate(("test", "training", "validation")):
        for place, instrument in enumerate(MedleySolosDB.classes):
            id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{subset} {instrument}"))
            audio = f"audio/Medley-solos-DB_{subset}-{place}_{id}.wav"
            write_audio(folder / audio, 3 * place + song, 1.0, rate=44100, subtype="FLOAT")
            tracks[id] = {"audio": audio}
            lines.append(f"{subset},{instrument},{place},{song:03d},{id}")
    write_text(folder / "annotation/Medley-solos-DB_metadata.csv", lines)
    write_index(folder, "medley_solos_db_index_1.2.json", tracks)


JAMENDO = {
    "genre": [f"genre---{tag}" for tag in ("60s", "ambient", "jazz", "rock")],
    "instrument": [f"instrument---{tag}" for tag in ("bass", "guitar", "piano", "voice")],
    "moodtheme": [f"mood/theme---{tag}" for tag in ("calm", "dark", "happy", "slow")],
}
JAMENDO["top50tags"] = [tag for tags in JAMENDO.values() for tag in tags[1:]]


@copy(
    "mtg_jamendo",
    mtg_jamendo_top50=24,
    mtg_jamendo_genre=24,
    mtg_jamendo_instrument=18,
    mtg_jamendo_moodtheme=12,
)
def mtg_jamendo(folder):
    """Whole songs in MP3, lists whose rows differ in length, four sets of tags."""
    songs = {number: 241 + 707 * number for number in range(24)}
    shares = {"train": range(12), "validation": range(12, 16), "test": range(16, 24)}
    for subset, names in JAMENDO.items():
        share = {"instrument": 3 / 4, "moodtheme": 1 / 2}.get(subset, 1)
        for split, numbers in shares.items():
            rows = ["TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"]
            for number in numbers[: round(share * len(numbers))]:
                id, artist = songs[number], number // 2
                album = f"artist_{artist:06d}\talbum_{number:06d}"
                song = f"track_{id:07d}\t{album}\t{id % 100:02d}/{id}.mp3\t1.5"
                rows.append("\t".join([song, *names[number % 2 :: 2]]))
            write_text(folder / f"data/splits/split-0/autotagging_{subset}-{split}.tsv", rows)
    for number, id in songs.items():
        audio = folder / f"audio/{id % 100:02d}/{id}.mp3"
        write_audio(audio, number, 1.5, 44100, channels=2)


@copy("nsynth", nsynth=3 * len(NSynth.classes))
def nsynth(folder):
    """A list of notes and their audio for each part; two parts share their instruments."""
    for part, number in (("train", 0), ("valid", 18), ("test", 18)):
        notes = {}
        for place, family in enumerate(NSynth.classes):
            instrument, pitch = f"{family}_synthetic_{number:03d}", 60 + place % 3
            name = f"{instrument}-{pitch:03d}-{100 if part == 'test' else 25:03d}"
            notes[name] = {
                "note_str": name,
                "instrument_str": instrument,
                "instrument_family": place,
                "instrument_family_str": family,
                "pitch": pitch,
                "sample_rate": 16000,
            }
            write_audio(folder / f"nsynth-{part}/audio/{name}.wav", place, 1.0, rate=16000)
        write_text(folder / f"nsynth-{part}/examples.json", [json.dumps(notes)])


SHARED = "000016_3840"
"""A test clip of OpenMIC by an artist who is in training too."""


def openmic_artist(split):
    """A number that the hash of artists sends to a split."""
    return next(n for n in range(1, 100) if hashed_split(f"artist {n}", test=0) == split)


@copy("openmic2018", openmic2018=24)
def openmic2018(folder):
    """Clips with an artist, a part and answers about some instruments each."""
    artists = {split: openmic_artist(split) for split in ("train", "validation")} | {"test": 1000}
    tracks, parts = {}, {"train": [], "test": []}
    metadata = ["track_id,artist_id,artist_name,track_title,sample_key,start_time"]
    labels = ["sample_key,instrument,relevance,num_responses"]
    for number in range(24):
        split, key = list(artists)[number // 8], f"{number:06d}_3840"
        by = artists["train" if key == SHARED else split]
        parts["test" if split == "test" else "train"].append(key)
        metadata.append(f'{number},{by},"Band, The","A ""song""",{key},3.84')
        for place, instrument in enumerate(OpenMIC2018.classes):
            if place % 8 != number % 8:  # nobody was asked about the others
                relevance = 0.5 + 0.1 * (place % 4) if (place + number) % 3 else 0.17
                labels.append(f"{key},{instrument},{relevance},3")
        audio = f"audio/000/{key}.ogg"
        write_audio(folder / audio, number, 1.0, rate=44100, channels=2, subtype="VORBIS")
        tracks[key] = {"audio": audio, "vggish": None}
    for part, keys in parts.items():
        write_text(folder / f"partitions/split01_{part}.csv", keys)
    write_text(folder / "openmic-2018-metadata.csv", metadata)
    write_text(folder / "openmic-2018-aggregated-labels.csv", labels)
    write_index(folder, "openmic2018_index_1.0.json", tracks)


@copy("tinysol", tinysol=3 * len(TinySOL.classes))
def tinysol(folder):
    """Notes in folders of families and instruments, parted into folds by their metadata."""
    lines, tracks = ["Path,Fold,Family,Instrument (in full),Pitch,Pitch ID,Dynamics"], {}
    for place, instrument in enumerate(TinySOL.classes):
        for fold, dynamics in ((place % 3, "pp"), (3, "mf"), (4, "ff")):
            pitch = ("C4", "C#4", "D4")[place % 3]
            id = f"I{place}-ord-{pitch}-{dynamics}-N-N"
            path = f"Winds/{instrument.replace(' ', '_')}/ordinario/{id}.wav"
            write_audio(folder / "audio" / path, 5 * place + fold, 1.0, rate=44100)
            tracks[id] = {"audio": f"audio/{path}"}
            pitched = f"{pitch},{60 + place % 3}"
            lines.append(f"{path},{fold},Winds,{instrument},{pitched},{dynamics}")
    table = "annotation/TinySOL_metadata.csv"
    write_text(folder / table, lines)
    write_index(folder, "tinysol_index_6.0.json", tracks, {"TinySOL_metadata": table})
