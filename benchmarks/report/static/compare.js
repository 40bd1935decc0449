/* Two entries on the same tracks: paired differences, their interval, and where they differ most. */
"use strict";

/** Bootstrap samples as they lie in a file: lowest, highest, and steps between them; NaN is last. */
MOTIONBEAT.samples = ([low, high, packed]) => {
  const [from, to] = [Number(low), Number(high)];
  return Float64Array.from(MOTIONBEAT.unpacked(packed, Uint16Array), (step) => (step > 65534 ? NaN : from + (step / 65534) * (to - from)));
};

/** Interval of the difference of paired bootstrap samples. */
MOTIONBEAT.paired = (ours, theirs) => {
  const differences = ours.map((value, place) => value - theirs[place]).filter(Number.isFinite).sort();
  if (!differences.length) return { low: null, high: null };
  const quantile = (share) => {
    const place = share * (differences.length - 1), below = Math.floor(place);
    return differences[below] + (place - below) * ((differences[below + 1] ?? differences[below]) - differences[below]);
  };
  return { low: quantile(0.025), high: quantile(0.975) };
};

document.addEventListener("DOMContentLoaded", () => MOTIONBEAT.load("report").then((data) => {
  const { el, number, interval, address, select, table, defined, plot, plain } = MOTIONBEAT;
  const form = document.getElementById("choice");
  const state = { column: "", a: "", b: "" };
  const label = (cell) => `${data.entries[cell[0]].name} ${cell[1]}`;
  const title = (cell) => (cell[1] === "none" ? data.entries[cell[0]].name : `${data.entries[cell[0]].name} · ${cell[1]}`);
  form.addEventListener("submit", (event) => event.preventDefault());

  function read() {
    Object.assign(state, { column: "", a: "", b: "" }, Object.fromEntries(address.read()));
  }

  async function show() {
    const at = Math.max(0, data.columns.findIndex((column) => column.id === state.column));
    const column = data.columns[at];
    const usual = column.heads.includes("linear") ? "linear" : column.heads[0];
    const best = column.cells.filter((cell) => data.entries[cell[0]].kind === "encoder" && cell[1] === usual).sort((one, other) => other[2] - one[2]);
    const places = [...column.cells.keys()].sort((one, other) => title(column.cells[one]).localeCompare(title(column.cells[other])));
    const find = (name, otherwise) => {
      const named = column.cells.findIndex((cell) => label(cell) === name);
      return named >= 0 ? named : Math.max(0, column.cells.indexOf(otherwise));
    };
    const first = find(state.a, best[0]);
    const second = find(state.b, best.find((cell) => cell[0] !== column.cells[first][0]));
    const [a, b] = [column.cells[first], column.cells[second]];
    Object.assign(state, { column: column.id, a: label(a), b: label(b) });
    address.write(state);
    const set = (name) => (value) => { state[name] = value; show().catch(MOTIONBEAT.failed); };
    const options = places.map((place) => [label(column.cells[place]), title(column.cells[place])]);
    form.replaceChildren(
      select("Task and dataset", data.columns.map((one) => [one.id, `${one.task} · ${one.dataset}${one.again} (${one.data})`]), column.id, (value) => { Object.assign(state, { column: value }); show().catch(MOTIONBEAT.failed); }),
      select("A", options, state.a, set("a")), select("B", options, state.b, set("b")),
      el("button", { type: "button", class: "quiet", onclick: () => { [state.a, state.b] = [state.b, state.a]; show().catch(MOTIONBEAT.failed); } }, "Swap"));

    const [samples, tracks] = await Promise.all([MOTIONBEAT.load(`samples-${at}`), MOTIONBEAT.load(`tracks-${at}`)]);
    const { low, high } = MOTIONBEAT.paired(MOTIONBEAT.samples(samples[first]), MOTIONBEAT.samples(samples[second]));
    const [ours, theirs] = [tracks.scores[first], tracks.scores[second]];
    const rows = tracks.tracks.map((track, place) => ({ track, group: tracks.groups[place], a: ours[place], b: theirs[place], difference: defined(ours[place]) && defined(theirs[place]) ? Number((tracks.better * (ours[place] - theirs[place])).toPrecision(5)) : null }));
    const told = rows.filter((row) => row.difference !== null);
    const ahead = told.filter((row) => row.difference > 0).length, behind = told.filter((row) => row.difference < 0).length;
    const gap = a[2] - b[2];
    const clear = low > 0 || high < 0;
    document.getElementById("summary").replaceChildren(el("div", { class: "figures" },
      figure(number(a[2]), `A: ${title(a)}, ${column.metric}`), figure(number(b[2]), `B: ${title(b)}, ${column.metric}`),
      figure(`${gap > 0 ? "+" : ""}${number(gap)}`, `A − B, ${defined(low) ? `95 % interval ${interval(low, high)}` : "too few groups of tracks for an interval"}`, clear ? (gap > 0 ? "better" : "worse") : null),
      figure(`${ahead} : ${behind}`, `tracks on which A, and on which B is ahead; ${told.length - ahead - behind} equal${told.length < rows.length ? `, ${rows.length - told.length} undefined` : ""}`)));
    const axis = `${tracks.title}`;
    const drawn = told.map((row) => ({ ...row }));
    const span = drawn.flatMap((row) => [row.a, row.b]);
    const [least, most] = [Math.min(...span), Math.max(...span)];
    plot(document.getElementById("plot"), (colour) => [
      { x: [least, most], y: [least, most], mode: "lines", line: { color: colour("muted"), dash: "dot", width: 1 }, hoverinfo: "skip", showlegend: false },
      { x: drawn.map((row) => row.b), y: drawn.map((row) => row.a), text: drawn.map((row) => plain(row.track)), mode: "markers", type: "scatter", showlegend: false,
        marker: { size: 9, opacity: 0.75, color: drawn.map((row) => (row.difference > 0 ? colour("right") : row.difference < 0 ? colour("wrong") : colour("muted"))), symbol: drawn.map((row) => (row.difference > 0 ? "circle" : row.difference < 0 ? "diamond" : "square")) },
        hovertemplate: "%{text}<br>A %{y:.3f}, B %{x:.3f}<extra></extra>" },
    ], { xaxis: { title: { text: `B: ${plain(title(b))}` } }, yaxis: { title: { text: `A: ${plain(title(a))}` } } });
    document.getElementById("caption").textContent = `${axis} of each test track, mean over seeds. Circles: A is better; diamonds: B is better${tracks.better < 0 ? " (smaller is better)" : ""}.`;
    document.getElementById("tracks").replaceChildren(table("compare", [
      { title: "track", text: true, value: (row) => row.track, cell: (row) => el("a", { href: address.link("tracks.html", { column: column.id, track: row.track }) }, row.track) },
      { title: "group", text: true, value: (row) => row.group },
      { title: "A", note: axis, value: (row) => row.a }, { title: "B", note: axis, value: (row) => row.b },
      { title: "A better by", value: (row) => row.difference, cell: (row) => el("span", { class: row.difference > 0 ? "better" : row.difference < 0 ? "worse" : null }, defined(row.difference) && row.difference > 0 ? `+${number(row.difference)}` : number(row.difference)) },
      { title: "apart", note: "either way", value: (row) => (row.difference === null ? null : Math.abs(row.difference)) },
    ], rows, { sort: 5, label: "Tracks on which they differ most" }));
  }
  const figure = (big, what, kind = null) => el("div", {}, el("div", { class: `big ${kind ?? ""}` }, big), el("div", { class: "what" }, what));

  addEventListener("hashchange", () => { read(); show().catch(MOTIONBEAT.failed); });
  read();
  return show();
}).catch(MOTIONBEAT.failed));
