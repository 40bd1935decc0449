"""Copies of the datasets with beats or tempi."""

import json

from tests.lookalikes import copy, write_audio, write_index, write_text

GENRES = [
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
]
SINGERS = ("Kazuo Nishi", "Hiromi Yoshii", "Rin", "Betty", "MIT", "Donna Burke", "Shinya Iguchi")
REPLICAS = {"Media-103414": "ChaChaCha", "Albums-Fire-09": "Samba"}


def annotate(folder, files, **texts):
    """Write annotations, each a list of lines, at the paths of their kinds."""
    for kind, lines in texts.items():
        write_text(folder / files[kind], lines)


@copy("asap", asap=28)
def asap(folder):
    """Performances with and without audio, upbeats, free bars, metres behind the beats."""
    columns = ["composer", "title", "folder", "performance_annotations", "audio_performance"]
    rows = [",".join(columns)]
    labels = ("b,,0", "db,3/4", "b", "bR", "db", "b")
    pieces = [(f"Etudes_op_10_{n}", f"Chopin/Etudes_op_10/{n}") for n in range(1, 15)]
    takes = [(*piece, player) for piece in pieces for player in ("Lin04", "Zhou01")]
    takes.append(("Fugue_bwv_874", "Bach/Fugue/bwv_874", "BianF01"))  # cut at a wrong place
    takes.append((*pieces[0], "Nobody02M"))
    for seed, (title, piece, player) in enumerate(takes):
        take, audio = f"{piece}/{player}", f"{piece}/{player}.wav"
        write_text(
            folder / f"{take}_annotations.txt",
            [f"{0.5 + n / 3:.6f}\t{0.5 + n / 3:.6f}\t{label}" for n, label in enumerate(labels)],
        )
        if player == "Nobody02M":
            audio = ""
        else:
            write_audio(folder / audio, seed // 2, 2.5, 44100, channels=2)
        composer = piece.partition("/")[0]
        rows.append(",".join([composer, title, piece, f"{take}_annotations.txt", audio]))
    write_text(folder / "metadata.csv", rows)


@copy("ballroom", ballroom=30)
def ballroom(folder):
    """Clips of each folder from albums of each split, and two replicas."""
    folders = [
        "ChaChaCha",
        "Jive",
        "Quickstep",
        "Rumba-American",
        "Rumba-International",
        "Rumba-Misc",
        "Samba",
        "Tango",
        "VienneseWaltz",
        "Waltz",
    ]
    clips = {
        f"{album}{place:02d}": style
        for place, style in enumerate(folders, 1)
        for album in ("Albums-Latin_Jam3-", "Media-1059", "Media-1006")
    } | REPLICAS
    tracks = {}
    for seed, (id, style) in enumerate(clips.items()):
        tracks[id] = files = {
            "audio": f"B_1.0/audio/{style}/{id}.wav",
            "beats": f"B_1.0/annotations/beats/{id}.beats",
            "tempo": f"B_1.0/annotations/tempo/{id}.bpm",
        }
        metre = 3 if "Waltz" in style else 4
        beats = [f"{0.1 + n / 2:.10f} {n % metre + 1}" for n in range(4)]
        annotate(folder, files, beats=beats, tempo=["120"])
        write_audio(folder / files["audio"], seed, 2, 44100)
    write_index(folder, "ballroom_full_index_1.0.json", tracks)


@copy("beatles", beatles=14)
def beatles(folder):
    """Two songs an album, the white album in two discs, a song without beats."""
    albums = {
        "01": "01_-_Please_Please_Me",
        "02": "02_-_With_the_Beatles",
        "04": "04_-_Beatles_for_Sale",
        "06": "06_-_Rubber_Soul",
        "09": "09_-_Magical_Mystery_Tour",
        "101": "10CD1_-_The_Beatles",
        "102": "10CD2_-_The_Beatles",
    }
    songs = {
        f"{id}{n:02d}": f"{album}/{n:02d}_-_Song" for id, album in albums.items() for n in (1, 2)
    }
    songs["10212"] = "10CD2_-_The_Beatles/CD2_-_12_-_Revolution_9"
    positions = ["New Point", "New Point", "3", "4", "1", "2", "3"]
    tracks = {}
    for seed, (id, song) in enumerate(songs.items()):
        tracks[id] = files = {
            "audio": f"audio/{song}.wav",
            "beat": f"annotations/beat/The Beatles/{song}.txt" if id != "10212" else None,
            "sections": f"annotations/seglab/The Beatles/{song}.lab",
            **dict.fromkeys(("chords", "keys")),
        }
        annotate(folder, files, sections=["0.000\t4.000\tsilence\tsilence"])
        if files["beat"]:
            beats = [f"{n / 2 + 0.2:.3f}\t{position}" for n, position in enumerate(positions)]
            annotate(folder, files, beat=beats)
        write_audio(folder / files["audio"], seed, 4, channels=2)
    write_index(folder, "beatles_index_1.2.json", tracks)


@copy("candombe", candombe=16)
def candombe(folder):
    """Two performances a session, FLAC, bars and beats as ``bar.beat``."""
    sessions = [
        *("csic.1995_ansina1", "csic.1995_ansina2", "csic.1995_cuareim", "zavala.muniz.2014"),
        *(f"proyecto.1992_{name}" for name in ("gimenez", "lobo", "magarinos", "pelado")),
    ]
    tracks = {}
    for id in [f"{session}_{number:02d}" for session in sessions for number in (1, 2)]:
        beats = f"candombe_annotations/with_bar_number/{id}.csv"
        files = {"audio": f"candombe_audio/{id}.flac", "beats": beats}
        lines = [f"{0.2 + n / 2:.9f},{n // 4 + 1}.{n % 4 + 1}" for n in range(5)]
        annotate(folder, files, beats=lines)
        write_audio(folder / files["audio"], len(tracks), 3, 44100, channels=2)
        tracks[id] = files
    write_index(folder, "candombe_index_1.0.json", tracks)


@copy("giantsteps_tempo", giantsteps_genre=30, giantsteps_tempo=30)
def giantsteps_tempo(folder):
    """MP3 previews, two rounds of annotation, ten folds, one without tempo."""

    def said(namespace, values):
        """An annotation of a JAMS file, of values and how sure they are."""
        facts = {"time": 0.0, "duration": 120.0}
        data = [facts | {"value": value, "confidence": sure} for value, sure in values]
        return {"namespace": namespace, "data": data, "time": 0, "duration": None, "sandbox": {}}

    root = "giantsteps-tempo-dataset-0b7d47ba8cae59d3535a02e3db69e2cf6d0af5bb"
    styles = ("trance", "drum-and-bass", "glitch-hop")
    names = [f"{28952 + 1000 * number}.LOFI" for number in range(30)] + ["3041381.LOFI"]
    tracks = {}
    for number, name in enumerate(names):
        tracks[str(number)] = files = {
            "audio": f"audio/{name}.mp3",
            "annotation_v1": f"{root}/annotations/jams/{name}.jams",
            "annotation_v2": f"{root}/annotations_v2/jams/{name}.jams",
        }
        write_audio(folder / files["audio"], number, 2, 22050)
        genre = [(styles[number // 10 % 3], 1.0)]
        heard = [(60.0 + number, 0.25), (120.0 + 2 * number, 0.75)][number % 2 :]
        first = [said("tempo", [(120.0, 1.0)]), said("tag_open", genre)]
        second = [said("tempo", heard if number < 30 else [])]
        jams = [[json.dumps({"annotations": round}, indent=2)] for round in (first, second)]
        annotate(folder, files, annotation_v1=jams[0], annotation_v2=jams[1])
    for fold in range(10):
        listed = [f"{name}.mp3" for name in names[fold::10]]
        write_text(folder / root / f"splits/fold{fold + 1:02d}.txt", listed)
    write_index(folder, "giantsteps_tempo_index_2.0.json", tracks)


@copy("gtzan", gtzan=30, gtzan_rhythm=30)
def gtzan(folder):
    """One clip a genre and split, beats with and without bars, one .au, one not annotated."""
    root = "gtzan_tempo_beat-main"
    lists = ("train_filtered.txt", "valid_filtered.txt", "test_filtered.txt")
    for number, name in enumerate(lists):
        write_text(folder / name, [f"{genre}/{genre}.{number:05d}.wav" for genre in GENRES])
    tracks = {}
    for seed, id in enumerate(f"{genre}.{number:05d}" for genre in GENRES for number in range(3)):
        name = f"gtzan_{id.replace('.', '_')}"
        tracks[id] = files = {
            "audio": f"gtzan_genre/genres/{id.partition('.')[0]}/{id}.wav",
            "beats": f"{root}/beats/{name}.beats",
            "tempo": f"{root}/tempo/{name}.bpm",
        }
        bars = "" if id == "jazz.00001" else "\t{}"
        beats = [f"{0.113 + n / 2:.3f}" + bars.format(n % 4 + 1) for n in range(4)]
        annotate(folder, files, beats=beats, tempo=[f"{120 + seed:.18e}"])
        write_audio(folder / files["audio"], seed, 2)
    audio = "gtzan_genre/genres/reggae/reggae.00086.wav"
    write_audio(folder / audio, 86, 1)
    tracks["reggae.00086"] = {"audio": audio, "beats": None, "tempo": None}
    write_index(folder, "gtzan_genre_index_1.0.json", tracks)
    # The index names .wav always; some copies hold .au.
    rock = folder / "gtzan_genre/genres/rock/rock.00000.wav"
    rock.unlink()
    write_audio(rock.with_suffix(".au"), 0, 2)


@copy("hainsworth", hainsworth=24)
def hainsworth(folder):
    """Excerpts in FLAC, whose bytes differ from those the index knows."""
    tracks = {}
    for number in range(24, 0, -1):
        id = f"hains{number:03d}"
        tracks[id] = files = {
            "audio": f"H_1.0/audio/{id}.flac",
            "beats": f"H_1.0/annotations/beats/{id}.beats",
            "tempo": f"H_1.0/annotations/tempo/{id}.bpm",
        }
        beats = [f"{0.47 + n / 2:.9f}\t{(n + 1) % 4 + 1}" for n in range(3)]
        annotate(folder, files, beats=beats, tempo=["120.00\tnan\t1.00"])
        write_audio(folder / files["audio"], number, 2, 44100)
    write_index(folder, "hainsworth_full_index_1.0.json", tracks)
    for files in tracks.values():
        write_audio(folder / files["audio"], 8, 2.5, 44100)


@copy("rwc_popular", rwc_popular=21)
def rwc_popular(folder):
    """Songs of seven singers on three CDs, with the table that names them."""
    header = (
        "Piece No.,Cat. Suffix,Tr. No.,Title,Artist (Vocal),Singer Information,Length,Tempo,"
        "Live Instruments Used,Drum Information"
    )
    tracks, lines = {}, [header]
    for number in range(1, 22):
        disc, place = (number - 1) // 7 + 1, (number - 1) % 7 + 1
        singer = SINGERS[number % 7]
        song = f"No. {number},M{disc:02d},Tr. {place:02d},Song,{singer}"
        lines.append(f"{song},Male,03:29,120,Gt,Drum loops")
        name = f"RM-P{number:03d}"
        tracks[name] = files = {
            "audio": f"audio/rwc-p-m{disc:02d}/{place}.wav",
            "beats": f"annotations/AIST.RWC-MDB-P-2001.BEAT/{name}.BEAT.TXT",
            **dict.fromkeys(("sections", "chords", "voca_inst")),
        }
        # Hundredths of a second, and 384 on the first beat of a bar, else its place in ticks.
        beats = [(20 + 50 * n, (384, 48, 96, 144)[(n + 2) % 4]) for n in range(9)]
        annotate(folder, files, beats=[f"{time}\t{time}\t{ticks}" for time, ticks in beats])
        write_audio(folder / files["audio"], number, 5, 44100, channels=2)
    table = "metadata-master/rwc-p.csv"
    write_text(folder / table, lines)
    write_index(folder, "rwc_popular_index_1.0.json", tracks, {"rwc-p": table})


@copy("smc", smc=28)
def smc(folder):
    """Gaps in the numbers, names that say more than the excerpt, beats of two versions."""
    root = folder / "SMC_MIREX"
    for number in range(28):
        id = f"SMC_{1 + 10 * number:03d}"
        name = f"{id}_{1 + number % 2}_2_1_{'ajo'[number % 3]}.txt"
        beats = [f"{0.3 + 0.6 * n:.4f}" for n in range(3)]
        write_text(root / "SMC_MIREX_Annotations_05_08_2014" / name, beats)
        write_text(root / "SMC_MIREX_Annotations" / name, [*beats, "9.0000"])
        write_audio(root / f"SMC_MIREX_Audio/{id}.wav", number, 2, 44100)
