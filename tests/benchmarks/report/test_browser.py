"""The report as people use it: in a browser, from disk, offline."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pytest
from tests.browser import CHROMIUM, REQUIRED, launched, opened
from tests.command import motionbeat
from tests.dancing import danced, write_dance, write_pair
from tests.staged import HOSTILE, NAMED

from motionbeat.benchmarks.leaderboards import collect
from motionbeat.benchmarks.records import read_record, read_records, write_record
from motionbeat.benchmarks.report.gathered import gather
from motionbeat.benchmarks.significance import interval

if CHROMIUM is None and not REQUIRED:
    pytest.skip("no chromium on this machine; install it to test pages", allow_module_level=True)

MINUS, NOTHING = "\u2212", "\u2013"  # as pages write them
PAGES = ("index", "compare", "size", "tracks", "dances", "cards")


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


@pytest.fixture
def visit(browser, pages):
    def visit(page="index", fragment="", **options):
        return opened(browser, f"{(pages / page).as_uri()}.html{fragment}", **options)

    return visit


def column_of(page, title):
    """Number of the column of a table whose head begins with a title."""
    heads = page.locator("#board thead th").all_inner_texts()
    return next(n for n, head in enumerate(heads) if head.startswith(title))


def rows(page):
    page.wait_for_selector("#board tbody tr")
    return page.locator("#board tbody th").all_inner_texts()


def until(page, condition):
    """Wait until a condition holds; Playwright's own way needs eval, which pages forbid."""
    for _ in range(3000):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never: {condition}")


def sound(page):
    """The time of the audio, and the one that is drawn, in one frame."""
    return page.evaluate(
        """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
            const drawn = document.querySelector("canvas[data-time]");
            done([document.querySelector("audio").currentTime, Number(drawn.dataset.time)]);
        })))"""
    )


def pixels(page, number=0):
    return page.evaluate(
        """(number) => new Promise((done) => {
            const read = () => done(document.querySelectorAll("canvas")[number].toDataURL());
            requestAnimationFrame(() => requestAnimationFrame(read));
        })""",
        number,
    )


def faults(page):
    """Serious faults of a page, as axe finds them."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"], "preload": False}  # it may not fetch either
    return [
        (one["id"], node["html"][:200], node.get("failureSummary", "")[:300])
        for one in Axe().run(page, options=options).response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("theme", "width"), [("light", 1600), ("dark", 900), ("light", 400)])
def test_a_page_is_readable(visit, page, theme, width):
    """Axe finds no serious fault, and nothing is wider than the window."""
    with visit(page, width=width, color_scheme=theme) as there:
        there.wait_for_selector("table, .card, .dancer")
        there.wait_for_timeout(300)
        if page == "tracks":
            there.locator("#table a", has_text=HOSTILE[0]).first.click()
            there.wait_for_selector("#track table")
        assert there.evaluate("document.documentElement.scrollWidth") <= width
        assert faults(there) == []
        if page == "index":
            there.locator("td.score button").first.click()
            there.wait_for_selector("dialog[open]")
            assert faults(there) == []


def test_columns_sort(visit):
    with visit() as page:
        number = column_of(page, "genre")
        head = page.locator("#board thead th").nth(number)
        for order in ("descending", "ascending"):
            head.get_by_role("button").click()
            assert head.get_attribute("aria-sort") == order
            texts = page.locator(f"#board tbody tr > :nth-child({number + 1})").all_inner_texts()
            values = [
                float(text.split()[0].replace(MINUS, "-")) for text in texts if text != NOTHING
            ]
            assert values == sorted(values, reverse=order == "descending")
            assert len(values) == 3
            assert texts[-1] == NOTHING, "what is missing comes last"


def test_filters_and_the_address_that_keeps_them(visit, browser):
    with visit() as page:
        everything = rows(page)
        assert {"logmel", "no-music", "chance (baseline)"} <= set(everything)
        page.get_by_label("baselines and bounds").uncheck()
        page.locator("summary", has_text="Task").click()
        page.get_by_label("genre", exact=True).check()
        page.keyboard.press("Escape")
        page.get_by_label("Head (probe)").select_option("all")
        expected = [
            f"{n} · {head}" for n in ("logmel", "no-music") for head in ("linear", "mlp", "knn")
        ]
        assert sorted(rows(page)) == sorted(expected)
        page.get_by_label("Search").fill("knn log")
        assert rows(page) == ["logmel · knn"]
        page.get_by_label("Search").fill("knn")
        page.locator("#board thead button", has_text="entry").click()
        shown = rows(page)
        assert shown == ["logmel · knn", "no-music · knn"]
        address = page.url
    with opened(browser, address) as page:
        assert rows(page) == shown
        assert page.get_by_label("Search").input_value() == "knn"
        page.get_by_role("button", name="Reset").click()
        assert rows(page) == everything


def test_licence_parameters_and_overlap_filter(visit):
    with visit() as page:
        assert set(NAMED) <= set(rows(page))
        page.get_by_label("licence allows commercial use").check()
        assert not set(NAMED) & set(rows(page))
        page.get_by_label("licence allows commercial use").uncheck()
        page.get_by_label("Training-data overlap").select_option("hide")
        assert set(NAMED) - set(rows(page)) == {NAMED[0]}, "it was trained on the dataset"


def test_mean_rank_and_borda_count_are_those_of_pandas(visit):
    rng = np.random.default_rng(0)
    scores = np.round(rng.uniform(size=(40, 5)), 1)  # with ties
    scores[rng.uniform(size=scores.shape) < 0.2] = np.nan
    table = pd.DataFrame(scores)
    expected = table.rank(ascending=False).mean(axis=1)
    borda = (table.rank().sub(1)).sum(axis=1)
    columns = [[None if np.isnan(one) else one for one in column] for column in scores.T]
    with visit() as page:
        found = page.evaluate("(columns) => MOTIONBEAT.ranks(columns)", columns)
    np.testing.assert_allclose(found["rank"], expected)
    np.testing.assert_allclose(found["borda"], borda)
    np.testing.assert_array_equal(found["seen"], table.notna().sum(axis=1))


def test_a_score_shows_its_settings_and_the_command(visit, staged):
    with visit(permissions=["clipboard-read", "clipboard-write"]) as page:
        row = page.locator("#board tbody tr", has=page.get_by_role("rowheader", name="logmel"))
        row.locator("td.score button").first.click()
        dialog = page.locator("dialog[open]")
        text = dialog.inner_text()
        assert re.search(r"test tracks\s+5 in 5 groups", text)
        assert re.search(r"seeds\s+2", text)
        assert not re.search(r"null|undefined|NaN", text)
        expected = (
            "motionbeat bench --task beat --dataset staged --encoder logmel --heads linear "
            "--seeds 2 --learning_rates '[0.003, 0.01]'"
        )
        assert dialog.locator("pre").inner_text() == expected
        dialog.get_by_role("button", name="Copy command").click()
        page.wait_for_selector("text=Copied")
        assert page.evaluate("navigator.clipboard.readText()") == expected
        page.keyboard.press("Escape")
        assert page.locator("dialog[open]").count() == 0
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        assert "dance" in page.locator("dialog[open]").inner_text()


def test_the_shown_table_as_a_file(visit, staged):
    with visit() as page:
        page.get_by_role("button", name="Download CSV").first.wait_for()
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download CSV").first.click()
        titles, *lines = list(csv.reader(waiting.value.path().read_text().splitlines()))
    [table] = [
        t for name, t in collect(read_records(staged / "results/runs")).items() if "genre" in name
    ]
    expected = table.set_index(["entry", "head"])["accuracy"]["logmel", "linear"]
    number = next(n for n, title in enumerate(titles) if title.endswith("accuracy"))
    [line] = [line for line in lines if line[0] == "logmel"]
    assert float(line[number]) == pytest.approx(expected, abs=1e-4)
    assert {line[0] for line in lines} >= set(NAMED)


def test_a_comparison_is_that_of_python(visit, staged):
    columns = gather(read_records(staged / "results/runs")).columns
    column = next(one for one in columns if one.id.startswith("genre/"))
    cells = {(cell.record.label, cell.row["head"]): cell for cell in column.cells}
    one, other = cells["logmel", "linear"], cells["chance", "none"]
    low, high = interval(one.samples - other.samples)
    asked = json.dumps({"column": column.id, "a": "logmel linear", "b": "chance none"})
    with visit("compare") as page:
        page.wait_for_selector("#tracks tbody tr")
        page.evaluate(f"location.hash = new URLSearchParams({asked})")
        until(page, "document.getElementById('summary').innerText.includes('chance')")
        summary = page.locator("#summary").inner_text().replace(MINUS, "-")
        found = page.evaluate(
            """async () => {
                const { columns } = await MOTIONBEAT.load("report");
                const at = columns.findIndex((column) => column.task === "genre");
                const samples = await MOTIONBEAT.load(`samples-${at}`);
                return [at, samples.map((one) => Array.from(MOTIONBEAT.samples(one)))];
            }"""
        )
        assert page.locator("#plot .scatterlayer path.point").count() == 5
        text = page.locator("#tracks tbody").inner_text()
    assert f"A - B, 95 % interval [{low:.3f}, {high:.3f}]" in summary
    np.testing.assert_allclose(found[1][column.cells.index(one)], one.samples, atol=1e-4)
    assert all(name.strip()[:40] in text for name in HOSTILE[:3])


def test_speeds_that_nobody_measured(visit):
    with visit("size", "#by=speed") as page:
        page.wait_for_selector("#plot .xtitle")
        notice = page.locator("#unmeasured")
        assert page.locator("#plot .xtitle").text_content() == "seconds for an hour of audio"
        assert not notice.is_visible()
        forget = "({ entries }) => entries.forEach((entry) => { entry.speed = null; })"
        page.evaluate(f"MOTIONBEAT.load('report').then({forget})")
        page.get_by_label("Against").select_option("speed")
        assert notice.is_visible()
        assert page.locator("#plot .xtitle").text_content() == "parameters"


def test_choices_fit_a_narrow_window(visit):
    with visit(width=400) as page:
        rows(page)
        for summary in page.locator("#filters summary").all():
            summary.click()
            box = page.locator("#filters details[open] fieldset").bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 400
            page.keyboard.press("Escape")


@pytest.mark.parametrize("page", PAGES)
def test_hostile_names_stay_text(visit, page):
    with visit(page) as there:
        there.wait_for_selector("table, .card, .dancer")
        for choice in there.locator("#choice select").first.locator("option").all()[:6]:
            there.locator("#choice select").first.select_option(choice.get_attribute("value"))
            there.wait_for_timeout(100)
        text = there.evaluate("document.body.innerText + document.body.textContent")
        markup = "img[onerror], [onerror]"
        assert there.locator(markup).count() == 0
        assert HOSTILE[0] in text
        assert str(1234 * 5678) not in text, "no template is filled in twice"


def test_a_track_plays_with_clicks_and_seeks(visit):
    """The drawn moment is that of the audio, and clicks sound at the beats."""
    listen = """
        const start = OscillatorNode.prototype.start;
        window.clicks = [];
        OscillatorNode.prototype.start = function (at) {
            const audio = document.querySelector("audio");
            window.clicks.push(audio.currentTime + (at - this.context.currentTime));
            return start.call(this, at);
        };
    """
    with visit("tracks") as page:
        page.evaluate(f"() => {{ {listen} }}")
        page.wait_for_selector("#table tbody tr")
        page.locator("#choice select").first.select_option(label="beat · staged (synthetic)")
        page.wait_for_selector("#table a")
        page.locator("#table a", has_text=HOSTILE[1]).click()
        page.wait_for_selector("#player audio", state="attached")
        until(page, "document.querySelector('audio').readyState >= 3")
        page.get_by_label("Click on the beats of logmel").uncheck()
        page.get_by_label("Click on the beats of annotated").check()
        page.get_by_role("button", name="Play").click()
        until(page, "document.querySelector('audio').currentTime > 2.2")
        for _ in range(4):
            heard, drawn = sound(page)
            assert abs(heard - drawn) < 0.04
        clicks = page.evaluate("window.clicks")
        beats = page.evaluate("MOTIONBEAT.playing.lanes[0].beats")
        page.evaluate("MOTIONBEAT.playing.seek(5)")
        until(page, "document.querySelector('audio').currentTime > 5.1")
        heard, drawn = sound(page)
        assert heard >= 5.1
        assert abs(heard - drawn) < 0.04
        page.get_by_role("button", name="Pause").click()
        page.evaluate("MOTIONBEAT.playing.seek(3)")
        until(page, "Math.abs(document.querySelector('canvas').dataset.time - 3) < 0.04")
    assert len(clicks) >= 2
    gaps = np.abs(np.array(clicks)[:, None] - np.array(beats)).min(axis=1)
    assert gaps.max() < 0.04


def test_wrong_beats_are_told_from_right_ones(visit):
    with visit("tracks") as page:
        found = page.evaluate("MOTIONBEAT.hits([0.95, 1, 1.5, 2.05, 3], [1, 2, 3.1])")
    assert found == [True, False, False, True, False], "a reference is found once"


def test_dances_move_in_step_with_the_music(visit):
    with visit("dances") as page:
        page.wait_for_selector("canvas[data-time]")
        assert page.locator(".dancer").count() == 3
        assert "BAS" in page.locator(".dancer").first.inner_text()
        until(page, "document.querySelector('audio').readyState >= 3")
        before = [pixels(page, number) for number in range(3)]
        page.get_by_role("button", name="Play").click()
        until(page, "document.querySelector('audio').currentTime > 1")
        for _ in range(4):
            heard, drawn = sound(page)
            assert abs(heard - drawn) < 0.04
        times = page.evaluate(
            "[...document.querySelectorAll('canvas')].map((one) => one.dataset.time)"
        )
        assert len(set(times)) == 1, "all dances show the same moment"
        page.get_by_role("button", name="Pause").click()
        after = [pixels(page, number) for number in range(3)]
        assert all(one != other for one, other in zip(before, after, strict=True))
        page.evaluate("MOTIONBEAT.shown.seek(6)")
        until(page, "Math.abs(document.querySelector('canvas').dataset.time - 6) < 0.04")
        assert pixels(page) != after[0]
        page.get_by_label("Speed").select_option("0.25")
        assert page.evaluate("document.querySelector('audio').playbackRate") == 0.25


def test_feet_stay_on_the_floor(visit):
    with visit("dances") as page:
        page.wait_for_selector("canvas[data-time]")
        lowest = page.evaluate(
            """MOTIONBEAT.shown.dances.map((dance) => [0, 0.7, 1.4, 2.1, 3.3].map((time) => {
                const { joints } = MOTIONBEAT.shown.pose(dance, time);
                return Math.min(...[7, 8, 10, 11].map((foot) => joints[3 * foot + 1]));
            }))"""
        )
        moved = page.evaluate(
            """MOTIONBEAT.shown.dances.map((dance) => {
                const at = (time) => MOTIONBEAT.shown.pose(dance, time).joints;
                const [one, other] = [at(0.5), at(1.1)];
                return Math.max(...one.map((value, place) => Math.abs(value - other[place])));
            })"""
        )
    assert len(lowest) == 3
    assert np.abs(lowest[0]).max() < 0.08, "the real dance stands"
    assert np.array(lowest).min() > -0.15
    assert min(moved) > 0.005


def test_a_dance_turns_and_a_bar_loops(visit):
    with visit("dances") as page:
        page.wait_for_selector("canvas[data-time]")
        until(page, "document.querySelector('audio').readyState >= 3")
        front = pixels(page)
        page.locator("canvas").first.focus()
        page.keyboard.press("ArrowLeft")
        assert pixels(page) != front
        assert pixels(page, 1) != pixels(page, 0)
        page.get_by_role("button", name="Front").click()
        assert pixels(page) == front
        page.evaluate("MOTIONBEAT.shown.seek(3.2)")
        until(page, "Math.abs(document.querySelector('canvas').dataset.time - 3.2) < 0.04")
        page.get_by_role("button", name="Loop this bar").click()
        page.locator("canvas").first.press(" ")
        song = page.evaluate("MOTIONBEAT.load('dance-0')")
        edges = [0, *song["downbeats"], song["duration"]]
        first = max(edge for edge in edges if edge <= 3.22)
        last = min(edge for edge in edges if edge > 3.22)
        page.evaluate(f"MOTIONBEAT.shown.seek({last - 0.2})")
        until(page, f"MOTIONBEAT.shown.time() < {last - 0.3}")
        assert page.evaluate("MOTIONBEAT.shown.time()") >= first - 0.1


def test_the_nearest_dances_of_a_clip(visit):
    with visit("tracks") as page:
        page.wait_for_selector("#table tbody tr")
        page.locator("#choice select").first.select_option(label="retrieval · staged (synthetic)")
        page.wait_for_selector("#table a")
        page.locator("#table a", has_text=HOSTILE[0]).click()
        page.wait_for_selector("#nearest .dancer")
        captions = page.locator("#nearest figcaption").all_inner_texts()
        assert captions[0].startswith("its own dance rank ")
        assert len(captions) == 1 + 3
        assert any(name in one for name in HOSTILE[1:4] for one in captions[1:])


def test_classes_of_a_track(visit):
    with visit("tracks") as page:
        page.wait_for_selector("#table tbody tr")
        page.locator("#choice select").first.select_option(label="genre · staged (synthetic)")
        page.wait_for_selector("#table a")
        page.locator("#table a", has_text=HOSTILE[1]).click()
        page.wait_for_selector("#track table")
        assert "true: waltz <i>" in page.locator("#track").inner_text()
        assert page.locator("#track td.text", has_text="tango").count()


def test_cards_are_searched_and_their_citations_copied(visit):
    with visit("cards", permissions=["clipboard-read", "clipboard-write"]) as page:
        shown = page.locator(".card:visible h3").all_inner_texts()
        assert "staged" in " ".join(shown)
        assert "gtzan" not in " ".join(shown)
        page.get_by_label("in this report only").uncheck()
        page.get_by_label("Search").fill("gtzan_rhythm")
        card = page.locator(".card:visible").first
        assert "for research" in card.inner_text()
        card.get_by_role("button").click()
        page.wait_for_selector("text=Copied")
        assert page.evaluate("navigator.clipboard.readText()") == card.locator("q").inner_text()


def test_the_theme_is_switched(visit):
    with visit(color_scheme="dark") as page:
        dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        page.get_by_role("button", name="Light").click()
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != dark
        page.get_by_role("button", name="Dark").wait_for()


def test_a_table_of_thousands_of_rows(browser, tmp_path, staged):
    [path] = (staged / "results/runs/genre").rglob("logmel.json")
    base = read_record(path)
    for number in range(450):
        name = f"encoder{number}"
        place = tmp_path / f"results/runs/genre/many/{name}.json"
        write_record(place, base.model_copy(update={"name": name}))
    ended = motionbeat("report", "--results", tmp_path / "results", "--out", tmp_path / "out")
    assert ended.code == 0, ended.said
    with opened(browser, (tmp_path / "out" / "index.html").as_uri()) as page:
        assert len(rows(page)) == 200
        page.locator("#board thead button", has_text="entry").click()
        assert rows(page)[:2] == ["encoder0", "encoder1"]
        page.get_by_role("button", name="Show all 450 rows").click()
        assert len(rows(page)) == 450


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    """Two songs, each with a generated dance and real ones."""
    folder = tmp_path_factory.mktemp("songs")
    for number, (name, bpm) in enumerate({"</script>song": 96.0, "b": 120.0}.items()):
        name = name.replace("/", "\u2215")
        pair = write_pair(folder, name, bpm, seed=number)
        (folder / "music").mkdir(exist_ok=True)
        pair.audio.rename(folder / "music" / f"{name}.wav")
        (folder / "real").mkdir(exist_ok=True)
        pair.motion.rename(folder / "real" / f"x_{name}_1.npz")
        write_dance(folder / "made" / f"{name}.npz", danced(bpm + 17, dancer=2, seed=5))
    return folder


def test_a_users_own_motions_beside_real_ones(browser, songs, tmp_path):
    page = tmp_path / "dances.html"
    places = [
        p
        for n in ("generated", "reference", "music")
        for p in (f"--{n}", songs / {"generated": "made", "reference": "real"}.get(n, n))
    ]
    ended = motionbeat("dance-metrics", *places, "--permutations", 20, "--html", page)
    assert ended.code == 0, ended.said
    assert page.stat().st_size < 2e6
    with opened(browser, page.as_uri(), width=400) as there:
        there.wait_for_selector("canvas[data-time]")
        captions = there.locator("figcaption").all_inner_texts()
        assert [("reference" in one) for one in captions] == [False, True]
        assert "own - others" in captions[0]
        assert "BAS fact" in there.locator("#table").inner_text()
        until(there, "document.querySelector('audio').readyState >= 3")
        before = pixels(there)
        there.evaluate("MOTIONBEAT.shown.seek(4)")
        until(there, "Math.abs(document.querySelector('canvas').dataset.time - 4) < 0.04")
        assert pixels(there) != before
        there.locator("#choice select").select_option(index=1)
        assert "song" in there.url
        assert there.evaluate("document.documentElement.scrollWidth") <= 400
