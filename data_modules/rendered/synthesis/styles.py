"""What the arranger knows about music: dance styles, progressions, rhythms and instruments.

Whatever a listener could learn by heart (grooves, progressions, melody rhythms, instruments, drum
kits) comes in three pools, one a split, that share nothing.

A row of a groove is one bar or more of equal steps. In drum rows ``X`` is an accent, ``x`` a
stroke, ``o`` a ghost stroke and ``.`` silence. In ``bass`` and ``chord`` rows a digit is a tone of
the chord (``1`` root, ``3`` third, ``5`` fifth, ``7`` seventh, ``8`` octave), ``a`` the semitone
below the next root, ``x`` and ``X`` a short chord, and ``=`` a chord that is held.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from motionbeat.data_modules.base import Split

Pools = Mapping[Split, tuple[str, ...]]


@dataclass(frozen=True)
class Style:
    """A dance style.

    Attributes:
        scene: broad family of styles, a tag.
        metre: time signature; a beat is a quarter, in 6/8 and 12/8 a dotted quarter.
        steps: steps a bar in the rows of the grooves.
        bpm: slowest and fastest tempo.
        kit: family of drum kits.
        modes: scales it is played in.
        chords: instrument families that play its chords.
        leads: instrument families that play its melody.
        grooves: four patterns: two to train on, one for validation, one to test on.
        swing: range of the place of the off-beat step in its pair (steps of a quarter of a beat)
            or of the last step in its beat (steps of a third); None is even.
        sevenths: whether its chords have four tones.
        drumless: share of its pieces without drums.
    """

    scene: str
    metre: str
    steps: int
    bpm: tuple[int, int]
    kit: str
    modes: tuple[str, ...]
    chords: tuple[str, ...]
    leads: tuple[str, ...]
    grooves: tuple[str, str, str, str]
    swing: tuple[float, float] | None = None
    sevenths: bool = False
    drumless: float = 0.0


BEATS_A_BAR = {"4/4": 4, "3/4": 3, "6/8": 2, "12/8": 4}

GROOVES: Mapping[Split, tuple[int, ...]] = {"train": (0, 1), "validation": (2,), "test": (3,)}
"""Which of a style's grooves a split uses."""

LOUDNESS = {"X": 112, "x": 92, "o": 52, "=": 88}
"""MIDI velocities of the signs in the rows of a groove."""

DRUMS = {
    "kick": 36, "snare": 38, "stick": 37, "clap": 39, "hat": 42, "pedal": 44, "open": 46,
    "ride": 51, "bell": 53, "crash": 49, "high_tom": 48, "tom": 45, "floor": 41, "tamb": 54,
    "cowbell": 56, "bongo": 60, "conga": 63, "tumba": 64, "timbale": 65, "agogo": 67,
    "shaker": 70, "guiro": 73, "claves": 75, "block": 76,
}  # fmt: skip
"""General MIDI keys of the drums."""

KITS: Mapping[str, Mapping[Split, tuple[int, ...]]] = {
    "acoustic": {"train": (0,), "validation": (8,), "test": (16,)},
    "electronic": {"train": (25,), "validation": (8,), "test": (24,)},
    "jazz": {"train": (32,), "validation": (8,), "test": (40,)},
}
"""Programs of the drum kits: standard, 808, jazz; room; power, electronic, brush."""

PROGRAMS: Mapping[str, Mapping[Split, tuple[int, ...]]] = {
    "piano": {"train": (0, 3, 4), "validation": (1,), "test": (2, 5)},
    "mallet": {"train": (11, 12, 114), "validation": (13,), "test": (9, 108)},
    "organ": {"train": (16, 18), "validation": (17,), "test": (19, 20)},
    "free_reed": {"train": (21,), "validation": (22,), "test": (23,)},
    "guitar": {"train": (24, 27, 29), "validation": (25,), "test": (26, 28, 30)},
    "bass": {"train": (32, 33, 38), "validation": (34, 37), "test": (35, 36, 39)},
    "fiddle": {"train": (40,), "validation": (41,), "test": (110,)},
    "strings": {"train": (48, 50), "validation": (49,), "test": (44, 51)},
    "plucked": {"train": (45, 46, 105), "validation": (15,), "test": (6, 107)},
    "voice": {"train": (52,), "validation": (54,), "test": (53,)},
    "brass": {"train": (56, 57, 61), "validation": (59, 62), "test": (60, 63)},
    "reed": {"train": (64, 65, 71), "validation": (68,), "test": (66, 69)},
    "flute": {"train": (73, 75), "validation": (74,), "test": (72, 79)},
    "lead_synth": {"train": (80, 81), "validation": (87,), "test": (84, 86)},
    "pad_synth": {"train": (89, 90), "validation": (94,), "test": (88, 91)},
}
"""General MIDI programs of the instrument families, counted from 0."""

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "blues": (0, 2, 4, 5, 7, 9, 10),
}
"""Semitones of the scale degrees; ``blues`` is mixolydian over twelve-bar progressions."""

PROGRESSIONS: Mapping[str, Pools] = {
    "major": {
        "train": ("1564", "1645", "1415", "1625", "4151", "1155"),
        "validation": ("1345", "6415"),
        "test": ("1465", "1241", "2511", "15164515"),
    },
    "mixolydian": {
        "train": ("1741", "1417", "1714"),
        "validation": ("1574",),
        "test": ("1147", "1471"),
    },
    "dorian": {
        "train": ("1414", "1741", "1214"),
        "validation": ("1421",),
        "test": ("1341", "1744"),
    },
    "minor": {
        "train": ("1637", "1451", "1765", "1645", "1155"),
        "validation": ("1374", "1565"),
        "test": ("6711", "1473", "1145"),
    },
    "blues": {
        "train": ("111144115411", "141144115415"),
        "validation": ("111144115511",),
        "test": ("141144162515", "114411541111"),
    },
}
"""Scale degrees of the chords, one a bar, by mode and split."""

RHYTHMS: Mapping[tuple[str, int], Pools] = {
    ("4/4", 16): {
        "train": (
            "x..x..x.x...x...", "x...x.x.x...x.x.", "..x.x...x.x.x...", "x.x.x..x..x.x...",
            "x.....x.x.x.....", "x..x....x..x..x.",
        ),
        "validation": ("x...x..x..x.....", "..x..x..x...x.x."),
        "test": ("x.x...x.x..x..x.", "x....xx.x...x...", "..x...x.x.x..x.."),
    },
    ("4/4", 12): {
        "train": ("x..x.xx..x..", "x.xx..x.x...", "..xx..x..x.x", "x.....x.xx.."),
        "validation": ("x.x..xx.....", "..x..xx.xx.."),
        "test": ("x..x.x..xx..", "x.x..x..x...", "x.xx.x......"),
    },
    ("12/8", 12): {
        "train": ("x..xxxx..x..", "x.xx.xx.....", "xxxx..x.xx..", "x.....xxxx.."),
        "validation": ("x..x.xxxx...", "..xx..xxx..."),
        "test": ("x.xxxxx.....", "xxx.x.x..x..", "..xx.xx..x.x"),
    },
    ("3/4", 6): {
        "train": ("x...x.", "x.x.x.", "x.....", "x.xxx.", "x..xx."),
        "validation": ("x.x...", "xxx.x."),
        "test": ("x.x.xx", "x...xx", "xxxxx."),
    },
    ("6/8", 6): {
        "train": ("xxxxxx", "x.xx.x", "xxxx..", "x.xxxx", "x..xxx"),
        "validation": ("x.xx..", "xxx.xx"),
        "test": ("xxxx.x", "x..x.x", "xx.xxx"),
    },
}  # fmt: skip
"""Rhythms of melodies, a bar each, by metre, steps a bar and split."""

STYLES: Mapping[str, Style] = {
    "house": Style(
        "electronic", "4/4", 16, (118, 128), "electronic", ("minor", "dorian", "major"),
        ("piano", "organ", "strings"), ("lead_synth", "voice", "mallet"),
        (
            "kick X...X...X...X... clap ....X.......X... open ..x...x...x...x. "
            "hat xoxoxoxoxoxoxoxo bass ..1...1..1....8. chord ...x..x...x..x..",
            "kick X...X...X...X..o snare ....X.......X... hat ..x...x...x...xo "
            "shaker oxoxoxoxoxoxoxox bass 1..1..1...1.5... chord x..x..x.........",
            "kick X...X...X...X... clap ....X..o....X... open ..X...X...X...X. "
            "tamb ....x.......x..x bass ..11..1...1.8... chord ..=.......=.....",
            "kick X...X...X.o.X... clap ....X.......X.o. ride ..x...x...x...x. "
            "hat x.xxx.xxx.xxx.xx bass 1.....1...5..1.. chord ....x..x....x..x",
        ),
        swing=(0.5, 0.58), sevenths=True,
    ),
    "disco": Style(
        "electronic", "4/4", 16, (108, 124), "acoustic", ("minor", "major", "dorian"),
        ("guitar", "strings", "piano"), ("brass", "strings", "voice", "flute"),
        (
            "kick X...X...X...X... snare ....X.......X... hat x...x...x...x... "
            "open ..X...X...X...X. bass 1.8.1.8.1.8.1.8. chord ..x.x.xx..x.x.x.",
            "kick X...X...X...X... snare ....X.......X..o hat x.xxx.xxx.xxx.xx "
            "tamb ....x.......x... bass 1...8..1..8.5.8. chord x.xx.xx.x.xx.xx.",
            "kick X...X...X...X... clap ....X.......X... open ..x...x...x...X. "
            "cowbell x.x.x.x.x.x.x.x. bass 1..8..1.1..8..5. chord =.......x.x...x.",
            "kick X...X..xX...X... snare ....X.......X... hat xxx.xxx.xxx.xxx. "
            "open ...x...x...x...x bass 1.1.8.8.5.5.8.8. chord ...x...x...x..x.",
        ),
        sevenths=True,
    ),
    "funk": Style(
        "groove", "4/4", 16, (92, 112), "acoustic", ("dorian", "mixolydian"),
        ("guitar", "piano", "organ"), ("brass", "reed", "lead_synth"),
        (
            "kick X..x......x..x.. snare ....X..o.o..X..o hat x.x.x.x.x.x.x.x. "
            "bass 1..1..7.8....5.1 chord ..x..x....x..x..",
            "kick X.x....x..x..... snare ....X..o.o.oX... hat xoxoxoxoxoxoxoxo "
            "bass 1.....8.7.5...a. chord ...xx.....x..x.x",
            "kick X......x..xx.... snare ....X.......X..o hat x.x.x.x.x.x.x... "
            "open ..............x. bass 1.1....5..7.8... chord .x..x..x.x..x...",
            "kick X..x..x....x..x. snare ....X.o..o..X.o. ride x...x...x...x... "
            "hat ..x...x...x...x. bass 1...8.11..5..7.. chord ....x..x......xx",
        ),
        swing=(0.5, 0.58), sevenths=True,
    ),
    "hip_hop": Style(
        "groove", "4/4", 16, (80, 98), "electronic", ("minor", "dorian"),
        ("piano", "mallet", "guitar"), ("lead_synth", "flute", "voice"),
        (
            "kick X......x..x..... snare ....X.......X... hat x.x.x.x.x.x.x.x. "
            "bass 1......1..5..... chord =.......x.......",
            "kick X..x......x....x snare ....X.......X..o hat x.xxx.x.x.xxx.x. "
            "bass 1..1......1....a chord ..x...x...x...x.",
            "kick X.x.......X..... clap ....X.......X... hat x.x.x.xxx.x.x.x. "
            "shaker ..x...x...x...x. bass 1.1.......5..... chord =.........=.....",
            "kick X.....x.x....x.. snare ....X..o....X... hat xxx.x.x.xx..x.x. "
            "bass 1.....8.1....7.. chord ...x.....x..x...",
        ),
        swing=(0.54, 0.64), sevenths=True,
    ),
    "breakbeat": Style(
        "electronic", "4/4", 16, (124, 142), "electronic", ("minor", "dorian"),
        ("pad_synth", "organ", "strings"), ("lead_synth", "mallet", "voice"),
        (
            "kick X.x.......x..... snare ....X..o.o..X..o hat x.x.x.x.x.x.x.x. "
            "bass 1.1....1..5..... chord =...............",
            "kick X.....x...x..x.. snare ....X..o....X... ride x.x.x.x.x.x.x.x. "
            "bass 1..1..8...1.7... chord ...x..x....x..x.",
            "kick X.x......xx..... snare ....X..o.o....X. hat x.x.x.x.x.x.x.x. "
            "bass 1.....1...8...5. chord x..x..x..x..x...",
            "kick X..x....x.x..... snare ....X.oo....Xo.o hat xx.xx.xxxx.xx.xx "
            "bass 1...1..7...1..5. chord =.......=.......",
        ),
    ),
    "drum_and_bass": Style(
        "electronic", "4/4", 16, (166, 178), "electronic", ("minor", "dorian"),
        ("pad_synth", "strings"), ("lead_synth", "voice", "flute"),
        (
            "kick X.........x..... snare ....X.......X... hat x.x.x.x.x.x.x.x. "
            "bass 1.........5..... chord =...............",
            "kick X.x.......x..... snare ....X..o.o..X... ride x...x...x...x... "
            "hat ..x...x...x...x. bass 1......1..8..... chord =.......=.......",
            "kick X.....x...x..... snare ....X.......X..o hat xxx.x.xxx.x.x.x. "
            "bass 1...7.......5... chord ......=.......x.",
            "kick X.........xx.... snare ....X..o....X.o. open x.......x....... "
            "shaker xoxoxoxoxoxoxoxo bass 1.....1.....a... chord =.........x.....",
        ),
    ),
    "rock": Style(
        "rock", "4/4", 16, (104, 148), "acoustic", ("major", "mixolydian", "minor"),
        ("guitar", "organ"), ("guitar", "voice", "organ"),
        (
            "kick X.......X.x..... snare ....X.......X... hat x.x.x.x.x.x.x.x. "
            "bass 1.1.1.1.1.1.1.1. chord =.......=.x.....",
            "kick X.....x.x....... snare ....X.......X... ride x.x.x.x.x.x.x.x. "
            "bass 1.....1.1.1.5... chord x.x.x.xxx.x.x...",
            "kick X.x.....x.x..... snare ....X.......X... open x...x...x...x... "
            "bass 1.1...1.5.5...5. chord =.....=.........",
            "kick X..x..x...x..... snare ....X.......X.oo hat x...x...x...x... "
            "tamb ....X.......X... bass 1..1..1...1.3.5. chord x..x..x...x.x...",
        ),
    ),
    "shuffle": Style(
        "jazz", "4/4", 12, (112, 146), "acoustic", ("blues",),
        ("piano", "guitar", "organ"), ("free_reed", "guitar", "reed"),
        (
            "kick X..x..X..x.. snare ...X.....X.. hat x.xx.xx.xx.x "
            "bass 1..3..5..3.. chord x.xx.xx.xx.x",
            "kick X.....X.x... snare ..oX.o..oX.o ride x.xx.xx.xx.x "
            "bass 1.11.15.55.5 chord ...x.x...x..",
            "kick X..X..X..X.. snare ...X.o...X.o hat x.xx.xx.xx.x "
            "bass 1..1..3..5.a chord x....xx....x",
            "kick X.x...X.x..x snare ...X.....X.. open ..x..x..x..x "
            "bass 1.13.35.53.a chord ..xx.....x.x",
        ),
        swing=(0.62, 0.69), sevenths=True,
    ),
    "swing": Style(
        "jazz", "4/4", 12, (140, 196), "jazz", ("major", "minor", "dorian"),
        ("piano", "guitar"), ("reed", "brass", "mallet"),
        (
            "ride X..x.xX..x.x pedal ...x.....x.. kick o..o..o..o.. "
            "bass 1..3..5..a.. chord x....x......",
            "hat X..x.xX..x.x stick .........x.. kick o.....o..... "
            "bass 1..5..8..a.. chord ..x......x..",
            "ride X..X.xX..X.x snare .....o.....o pedal ...x.....x.. "
            "bass 1..1..3..5.. chord ...x.....x..",
            "ride x.xX..x.xX.. snare ..o.....o... kick o.......o... pedal ...x.....x.. "
            "bass 1..3..1..a.. chord .....x.....x",
        ),
        swing=(0.58, 0.68), sevenths=True,
    ),
    "waltz": Style(
        "ballroom", "3/4", 6, (84, 106), "jazz", ("major", "minor"),
        ("piano", "guitar", "plucked"), ("fiddle", "reed", "strings", "flute"),
        (
            "kick X..... hat ..x.x. bass 1..... chord ..x.x.",
            "kick x..... ride x.x.x. stick ....x. bass 1....5 chord 1.3.5.",
            "kick X..... snare ..o.o. hat ..x.xx bass 1...5. chord 1.5.3.",
            "kick x....o ride x.x.xx pedal ..x... bass 1...a. chord ..=...",
        ),
        drumless=0.4,
    ),
    "viennese_waltz": Style(
        "ballroom", "3/4", 6, (168, 186), "acoustic", ("major", "minor"),
        ("strings", "plucked", "piano"), ("fiddle", "strings", "brass", "flute"),
        (
            "kick X..... snare ..x.x. bass 1..... chord ..x.x.",
            "kick X.....x..... hat ..x.x...x.x. snare ....o.....ox bass 1.....5..... "
            "chord ..x.x.",
            "kick X..... tamb ..x.x. bass 1.....3..... chord ..x.....x.x.",
            "kick X.....o..... snare ..x.....x.x. pedal ..x.x. bass 1.....8..... "
            "chord ..x.x...x...",
        ),
        drumless=0.5,
    ),
    "tango": Style(
        "ballroom", "4/4", 16, (116, 132), "acoustic", ("minor",),
        ("piano", "free_reed", "strings"), ("free_reed", "fiddle", "strings"),
        (
            "snare X...x...X...x.oo kick X.......X....... bass 1...5...1...5... "
            "chord X...x...X...x.x.",
            "snare X.....x.X...x... kick X.......x....... bass 1.....1.5...5... "
            "chord X.....x.X...x...",
            "snare X...x...X.x.x... bass 1.......5.....a. chord X...x...X.x.x...",
            "snare x.....X.x...X..o kick X.....x......... bass 1..5..8.1...a... "
            "chord x.....X.....x...",
        ),
        drumless=0.5,
    ),
    "cha_cha": Style(
        "latin", "4/4", 16, (116, 128), "acoustic", ("minor", "major", "dorian"),
        ("piano", "guitar"), ("brass", "flute", "mallet"),
        (
            "cowbell X...x...X...x... guiro x...xoxox...xoxo conga ....X.......x.x. "
            "kick X.......x....... bass 1.....5...8..... chord x.x.x..x.x.x..x.",
            "cowbell x...x...x...x... tumba ............x.x. conga ..o.X.o...o.X... "
            "shaker x.x.x.x.x.x.x.x. bass 1.....1.5...8... chord ..x...x...x...x.",
            "cowbell X...X...X...X... timbale ......x.....x.x. conga ....x.......x.x. "
            "bass 1...5.....8.5... chord x..x..x...x.x...",
            "block X...x...X...x... guiro X...x.x.X...x.x. tumba ....x.......xx.. "
            "kick x.....x......... bass 1.....8.5.....a. chord 1.3.5.8.5.3.5.3.",
        ),
    ),
    "rumba": Style(
        "latin", "4/4", 16, (92, 112), "acoustic", ("major", "minor"),
        ("guitar", "piano"), ("guitar", "brass", "voice", "flute"),
        (
            "claves x..x..x...x.x... shaker xoxoxoxoxoxoxoxo conga ....x.......xx.. "
            "bass 1.....5.8....... chord 1.3.5.8.5.3.5.3.",
            "bongo Xoxoxoxoxoxoxoxo claves ..x.x...x..x..x. kick x.......x....... "
            "bass 1.......5...8... chord x...x.x...x.x...",
            "conga x.o.X.o.x.o.X.xx shaker x.x.x.x.x.x.x.x. claves x.....x...x.x... "
            "bass 1.....1.5.5..... chord =.....x.x...x...",
            "bongo x.xox.xox.xoxxxo stick x..x...x..x.x... kick X.....x.x....... "
            "bass 1..5..8.....5... chord 1.5.3.5.8.5.3.5.",
        ),
    ),
    "samba": Style(
        "latin", "4/4", 16, (96, 112), "acoustic", ("major", "minor", "mixolydian"),
        ("guitar", "piano"), ("flute", "brass", "voice"),
        (
            "kick x..xX..xx..xX..x shaker Xoxoxoxoxoxoxoxo stick x.x.x..x.x.x.xx. "
            "bass 1..15..51..15..5 chord x.x.x..x.x.x.xx.",
            "floor o...X...o...X..x tamb XooxXooxXooxXoox agogo x.x..xx.x.x.x..x "
            "bass 1...5...1...5..5 chord x..x..x.x..x.x..",
            "kick x..xX..xx..xX..x hat xxXxxxXxxxXxxxXx snare o.oXo.Xo.oXo.X.o "
            "bass 1...5..51...5..5 chord .xx.x.x..xx.x.x.",
            "floor ....X..x....X... shaker xoXoxoXoxoXoxoXo agogo x..x.x.x..xx.x.. "
            "kick x..x...xx..x...x bass 1..1..5...1...5. chord x.x..x.x.x..x.x.",
        ),
    ),
    "bossa_nova": Style(
        "latin", "4/4", 16, (66, 80), "jazz", ("major", "minor", "dorian"),
        ("guitar", "piano"), ("flute", "reed", "voice", "mallet"),
        (
            "stick x..x..x...x..x.. hat xoxoxoxoxoxoxoxo kick x..xx..xx..xx..x "
            "bass 1..15..51..15..5 chord x..x..x...x.x...",
            "stick ..x..x..x..x..x. shaker xoxoxoxoxoxoxoxo kick x...x..xx...x..x "
            "bass 1...5..51...5..5 chord x.x..x..x.x..x..",
            "stick x..x...x..x..x.. ride x.x.x.x.x.x.x.x. bass 1......55......1 "
            "chord ..x..x...x..x.x.",
            "stick x.....x..x..x... hat x.x.x.x.x.x.x.x. kick x..x....x..x.... "
            "bass 1..5....1..8.... chord =..x..x....x..x.",
        ),
        sevenths=True,
    ),
    "salsa": Style(
        "latin", "4/4", 16, (164, 188), "acoustic", ("minor", "major", "dorian"),
        ("piano",), ("brass", "flute", "mallet"),
        (
            "claves x.....x.....x.......x...x....... cowbell X...x.x.X...x.x. "
            "conga ....X.......x.x. bass ......5.....8... chord 1.3.5..8.3.5..8.",
            "claves ....x...x.......x.....x.....x... timbale x...x.xxx...x.x. "
            "tumba ............x.x. conga ..o.X.o...o..... bass 1.....5.....8... "
            "chord x...x..x..x.x...x.x...x...x.x...",
            "claves x.....x.......x.....x...x....... cowbell x...x...x...x... "
            "conga ....x.......xx.. bass 1.....5.....1... chord ..x...x.x...x...",
            "claves ....x...x.......x.....x.......x. bell X...x.x.x.x.x.x. "
            "tumba ......x.....x.x. kick ......x......... bass ......3.....5... "
            "chord 1.5..3.8..5.3.8.",
        ),
    ),
    "merengue": Style(
        "latin", "4/4", 16, (134, 160), "acoustic", ("major", "minor"),
        ("piano", "free_reed"), ("reed", "free_reed", "brass"),
        (
            "kick X...X...X...X... guiro x.xxx.xxx.xxx.xx tumba ............xxxx "
            "bass 1...5...1...5... chord 1.3.5.3.8.5.3.5.",
            "kick X...X...X...X... shaker xxxxxxxxxxxxxxxx conga ..xx..x...xxX.x. "
            "bass 1.......5...5... chord x.x..x.xx.x..x.x",
            "floor X...x...X...x.xx guiro x..xx..xx..xx..x cowbell ....x.......x... "
            "bass 1...1...5...a... chord ..x...x...x...x.",
            "kick X...X...X.x.X... guiro xxx.xxx.xxx.xxx. timbale X.....x.X..xx.x. "
            "bass 1...8...5...8... chord 1.5.3.5.8.5.8.3.",
        ),
    ),
    "reggae": Style(
        "groove", "4/4", 16, (68, 90), "acoustic", ("minor", "major", "mixolydian"),
        ("guitar", "organ", "piano"), ("free_reed", "brass", "organ", "reed"),
        (
            "kick ........X....... stick ........X....... hat x.x.x.x.x.x.x.x. "
            "bass 1..1..5.......3. chord ....x.......x...",
            "kick X.......X....... snare ........X..o.... hat xoxoxoxoxoxoxoxo "
            "bass ....1.1.5...3... chord ..x...x...x...x.",
            "kick X...X...X...X... stick ........X.....x. hat ..x...x...x...x. "
            "bass 1.....1.3.5..... chord ....x.x.....x.x.",
            "kick ........X.....x. snare ........X....... open ..x...x...x...x. "
            "hat x...x...x...x... bass 1...8.5...3..... chord ..x..xx...x...x.",
        ),
        swing=(0.5, 0.6),
    ),
    "reggaeton": Style(
        "latin", "4/4", 16, (86, 100), "electronic", ("minor", "dorian"),
        ("pad_synth", "guitar", "mallet"), ("lead_synth", "voice", "mallet"),
        (
            "kick X...X...X...X... snare ...x..x....x..x. hat x.x.x.x.x.x.x.x. "
            "bass 1.....1.1.....1. chord =...............",
            "kick X...X...X...X... snare ...X..x....X..xo shaker xoxoxoxoxoxoxoxo "
            "bass 1..1..5.1..1..5. chord ...x..x....x..x.",
            "kick X...x...X...x... stick ...x..x....x..x. clap ......x.......X. "
            "bass 1...1..1..8..... chord =.......=.......",
            "kick X...X...X..xX... snare ...x..X....x..X. timbale ..............xx "
            "hat ..x...x...x...x. bass 1.......5..5..1. chord x..x..x.........",
        ),
    ),
    "polka": Style(
        "folk", "4/4", 16, (112, 136), "acoustic", ("major",),
        ("free_reed", "piano", "guitar"), ("free_reed", "reed", "brass", "fiddle"),
        (
            "kick X...X...X...X... snare ..x...x...x...x. bass 1...5...1...5... "
            "chord ..x...x...x...x.",
            "kick X...x...X...x... hat ..x...x...x...xx tamb ..x...x...x...x. "
            "bass 1...5...1...3.a. chord ..x...x...x.x.x.",
            "kick X.......X....... snare ..x.o.x.o.x.o.x. bass 1...5...3...5... "
            "chord ..xx..x...xx..x.",
            "kick X...X...X...X.x. snare ..x...xo..x...xx block x...x...x...x... "
            "bass 1...1...5...5... chord ..x.x.x...x.x.x.",
        ),
        drumless=0.3,
    ),
    "jig": Style(
        "folk", "6/8", 6, (108, 128), "acoustic", ("major", "mixolydian", "dorian"),
        ("guitar", "free_reed", "plucked"), ("fiddle", "flute", "free_reed"),
        (
            "tamb X.xX.x bass 1..5.. chord x..x..",
            "floor X....x tamb XoxXox bass 1..... chord x.xx.x",
            "kick X..x.. tamb ..x..x stick ...x.. bass 1..1.. chord ..x..x",
            "floor X..o.x shaker xoxxox bass 1....5 chord x.x..x",
        ),
        drumless=0.5,
    ),
    "tarantella": Style(
        "folk", "6/8", 6, (130, 156), "acoustic", ("minor", "major"),
        ("guitar", "plucked", "piano"), ("plucked", "reed", "fiddle", "flute"),
        (
            "tamb XxxXxx kick X..x.. bass 1..5.. chord .xx.xx",
            "tamb X.xXxx floor X..... bass 1..1.. chord ..x..x",
            "tamb XxxX.x stick ...X.. bass 1..3.. chord .x..x.",
            "tamb XoxXxo kick X....x bass 1..8.. chord x..xx.",
        ),
        drumless=0.2,
    ),
    "blues": Style(
        "jazz", "12/8", 12, (64, 76), "jazz", ("blues", "minor"),
        ("piano", "organ", "guitar"), ("guitar", "reed", "free_reed"),
        (
            "kick X.....X..... snare ...X.....X.. ride xxxxxxxxxxxx "
            "bass 1....15..... chord =..x.x=..x..",
            "kick X....xX..... snare ...X.o...X.o hat xxxxxxxxxxxx "
            "bass 1..1.35..5.a chord xxxxxxxxxxxx",
            "kick X.....X.x... snare ...X.....X.. hat x.xx.xx.xx.x "
            "bass 1..3..5..3.. chord ..=.....=...",
            "kick X.x...X....x stick ...X.....X.. ride x..xxxx..xxx "
            "bass 1.....5....a chord 135853135853",
        ),
        sevenths=True,
    ),
    "slow_rock": Style(
        "rock", "12/8", 12, (64, 84), "acoustic", ("major", "minor"),
        ("piano", "guitar", "organ"), ("voice", "reed", "strings", "guitar"),
        (
            "kick X.....X..x.. snare ...X.....X.. hat xxxxxxxxxxxx "
            "bass 1....15....5 chord xxxxxxxxxxxx",
            "kick X....xX..... snare ...X.....X.o ride x.xx.xx.xx.x "
            "bass 1.....1..3.5 chord 135853135853",
            "kick X.....x..... snare ...X.....X.. tamb ...x.....x.. hat x..x..x..x.. "
            "bass 1..1..5..5.. chord 158351158351",
            "kick X..x..X....x snare ...X.....Xo. open x.....x..... hat .xxxxx.xxxxx "
            "bass 1....5..1..a chord =.xxxx=.xxxx",
        ),
    ),
    "march": Style(
        "folk", "4/4", 16, (104, 122), "acoustic", ("major", "minor"),
        ("brass", "reed", "piano"), ("brass", "flute", "reed"),
        (
            "kick X...X...X...X... snare x.xxx.xxx.xxx.xx bass 1...5...1...5... "
            "chord ..x...x...x...x.",
            "kick X.......X....... snare X..oX..oX.o.X.oo bass 1.......5....... "
            "chord x...x...x...x...",
            "kick X...x...X...x... snare X.x.XxxxX.x.Xxxx bass 1...1...5...5... "
            "chord ..x.x.....x.x...",
            "kick X.......X...X... snare x...x.xxx..xx.xx crash X............... "
            "bass 1...3...5...3... chord =...x...=...x...",
        ),
    ),
}  # fmt: skip
"""The styles by name."""
