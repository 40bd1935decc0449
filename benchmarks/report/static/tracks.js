/* Tracks of a column, the hardest first; one track with every entry on it, and with its audio. */
"use strict";

document.addEventListener("DOMContentLoaded", () => MOTIONBEAT.load("report").then((data) => {
  const { el, number, address, select, table, defined } = MOTIONBEAT;
  const form = document.getElementById("choice");
  const place = document.getElementById("track");
  const state = { column: "", track: "" };
  let playing = [];
  form.addEventListener("submit", (event) => event.preventDefault());
  const title = (cell) => (cell[1] === "none" ? data.entries[cell[0]].name : `${data.entries[cell[0]].name} · ${cell[1]}`);

  async function show(jump = false) {
    playing.forEach((one) => one.end());
    playing = [];
    const at = Math.max(0, data.columns.findIndex((column) => column.id === state.column));
    const column = data.columns[at];
    state.column = column.id;
    const facts = await MOTIONBEAT.load(`tracks-${at}`);
    if (!facts.tracks.includes(state.track)) state.track = "";
    address.write(state);
    const heard = data.media[column.dataset] ?? {};
    const options = facts.tracks.map((track) => [track, track in heard ? `♪ ${track}` : track]);
    form.replaceChildren(
      select("Task and dataset", data.columns.map((one) => [one.id, `${one.task} · ${one.dataset}${one.again} (${one.data})`]), column.id, (value) => go({ column: value })),
      select("Track", [["", "none"], ...options], state.track, (value) => go({ track: value })));
    const encoders = column.cells.map((cell, index) => (data.entries[cell[0]].kind === "encoder" ? index : -1)).filter((index) => index >= 0);
    const worst = facts.better > 0 ? Math.min : Math.max, best = facts.better > 0 ? Math.max : Math.min;
    const rows = facts.tracks.map((track, index) => {
      const scores = encoders.map((cell) => facts.scores[cell][index]).filter(defined);
      const mean = scores.length ? scores.reduce((sum, score) => sum + score, 0) / scores.length : null;
      return { track, index, group: facts.groups[index], mean, least: scores.length ? worst(...scores) : null, most: scores.length ? best(...scores) : null, heard: track in heard };
    });
    const truth = facts.true ? [{ title: "true", text: true, value: (row) => said(facts, facts.true[row.index]) }] : [];
    document.getElementById("table").replaceChildren(el("h2", {}, `Tracks of ${column.dataset}`), table(`tracks-${column.task}`, [
      { title: "track", text: true, value: (row) => row.track, cell: (row) => el("span", {}, row.heard ? "♪ " : "", link(row.track)) },
      { title: "group", text: true, value: (row) => row.group }, ...truth,
      { title: "mean", note: `${facts.title}, over encoders`, value: (row) => row.mean },
      { title: "worst", note: "encoder", value: (row) => row.least }, { title: "best", note: "encoder", value: (row) => row.most },
    ], rows, { sort: 2 + truth.length, descending: facts.better < 0, label: "Tracks, the hardest first" }));
    if (state.track) await one(column, facts, facts.tracks.indexOf(state.track), heard[state.track]);
    else place.replaceChildren();
    if (jump && state.track) place.scrollIntoView({ block: "start" });
  }
  const link = (track) => el("a", { href: `#${new URLSearchParams({ column: state.column, track })}` }, track);
  const go = (change) => { Object.assign(state, change); show().catch(MOTIONBEAT.failed); };

  /** What is true or predicted, as text. */
  function said(facts, value) {
    if (value === undefined || value === null) return "–";
    if (facts.kind === "numbers") return Object.entries(value).map(([name, one]) => `${name} ${number(one, 2)}`).join(", ");
    return value.map((index) => facts.names[index]).join(", ");
  }
  function predicted(facts, value) {
    if (facts.kind === "numbers" || !value) return said(facts, value);
    if (facts.kind === "tags") return value.filter((_, place) => place % 2 === 0).map((tag, place) => `${facts.names[tag]} ${value[2 * place + 1]} %`).join(", ");
    const counts = new Map();
    for (const index of value) counts.set(index, (counts.get(index) ?? 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]).map(([index, times]) => facts.names[index] + (value.length > 1 && times < value.length ? ` (${times} of ${value.length} seeds)` : "")).join(", ");
  }

  async function one(column, facts, index, media) {
    const track = facts.tracks[index];
    const rows = column.cells.map((cell, at) => ({ name: title(cell), kind: data.entries[cell[0]].kind, score: facts.scores[at][index], predicted: facts.predicted?.[at]?.[index] }));
    const player = el("div", { id: "player" }), viewer = el("div", { id: "nearest" });
    place.replaceChildren(...[
      el("h2", {}, track), el("p", { class: "count" }, `group ${facts.groups[index]}${facts.true ? `; true: ${said(facts, facts.true[index])}` : ""}`),
      player, viewer,
      table(`track-${track}`, [
        { title: "entry", text: true, value: (row) => row.name, cell: (row) => (row.kind === "encoder" ? row.name : el("em", {}, `${row.name} (${row.kind})`)) },
        { title: facts.title, value: (row) => row.score },
        ...(facts.true ? [{ title: "predicted", text: true, value: (row) => predicted(facts, row.predicted) }] : []),
      ], rows, { sort: 1, descending: facts.better > 0, label: `Entries on ${track}` })].filter(Boolean));
    if (media === undefined) return;
    const sound = await MOTIONBEAT.load(`media-${media}`);
    if (state.track !== track) return;
    const lanes = column.task === "beat" ? sound.lanes : [];
    playing.push(MOTIONBEAT.player(player, { ...sound, lanes }));
    if (lanes.length) player.append(el("p", { class: "count" }, "A click is high on a beat that is right, low on one that is wrong (more than 70 ms from every annotated beat that is left), higher on downbeats. Crosses mark wrong beats; the curves are the activations of beats and of downbeats. Predictions are of the first seed; F leaves out the first 5 s, as is usual."));
    if (column.task.startsWith("retrieval") && sound.nearest.length) nearest(viewer, sound);
  }

  /** The dances nearest to a clip of music, in step with it. */
  function nearest(place, sound) {
    const names = [...new Set(sound.nearest.map((row) => row.entry))], starts = [...new Set(sound.nearest.map((row) => row.start))];
    const chosen = { entry: names[0], start: String(starts[0]) };
    const box = el("div");
    let seen = null;
    function draw() {
      if (seen) { seen.end(); playing = playing.filter((one) => one !== seen); }
      const row = sound.nearest.find((one) => one.entry === chosen.entry && one.start === Number(chosen.start));
      const find = (id, start) => sound.moves.dances.find((dance) => dance.name === `${id} ${start}`);
      const clips = [{ ...find(sound.name, row.start), name: "its own dance", note: `rank ${row.rank} of ${row.of}` },
        ...row.found.map(([id, start, near], place) => ({ ...find(id, start), name: `${place + 1}. ${id}`, note: `from ${start} s, cosine ${number(near, 2)}` }))];
      const within = (times) => times.filter((time) => time >= row.start && time < row.start + 5).map((time) => time - row.start);
      seen = MOTIONBEAT.viewer(box, { ...sound.moves, dances: clips, beats: within(sound.beats), downbeats: within(sound.downbeats), audio: sound.audio, start: row.start, duration: Math.min(5, sound.duration - row.start) });
      playing.push(seen);
    }
    const set = (name) => (value) => { chosen[name] = value; draw(); };
    place.replaceChildren(el("h3", {}, "Nearest dances"), el("form", { class: "filters", onsubmit: (event) => event.preventDefault() },
      select("Encoder", names.map((name) => [name, name]), chosen.entry, set("entry")), select("Clip", starts.map((start) => [String(start), `from ${start} s`]), chosen.start, set("start"))), box);
    draw();
  }

  const read = () => Object.assign(state, { column: "", track: "" }, Object.fromEntries(address.read()));
  addEventListener("hashchange", () => { read(); show(true).catch(MOTIONBEAT.failed); });
  read();
  return show();
}).catch(MOTIONBEAT.failed));
