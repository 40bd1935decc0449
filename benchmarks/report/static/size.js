/* Size and speed of encoders against their scores. */
"use strict";

document.addEventListener("DOMContentLoaded", () => MOTIONBEAT.load("report").then((data) => {
  const { el, number, interval, count, address, select, table, defined, plot, plain } = MOTIONBEAT;
  const form = document.getElementById("choice");
  const START = { column: "", by: "parameters", head: "" };
  const state = { ...START };
  const titles = { parameters: "parameters", speed: "seconds for an hour of audio" };
  form.addEventListener("submit", (event) => event.preventDefault());

  function show() {
    const column = data.columns.find((one) => one.id === state.column) ?? data.columns[0];
    state.column = column.id;
    if (!(state.by in titles)) state.by = "parameters";
    if (state.head !== "all" && !column.heads.includes(state.head)) state.head = column.heads.includes("linear") ? "linear" : column.heads[0] ?? "all";
    address.write(state);
    const set = (name) => (value) => { state[name] = value; show(); };
    form.replaceChildren(
      select("Task and dataset", data.columns.map((one) => [one.id, `${one.task} · ${one.dataset}${one.again} (${one.data})`]), column.id, set("column")),
      select("Against", [["parameters", "parameters of the encoder"], ["speed", "seconds for an hour of audio"]], state.by, set("by")),
      ...(column.heads.length > 1 ? [select("Head (probe)", [...column.heads.map((head) => [head, head]), ["all", "all"]], state.head, set("head"))] : []));
    const rows = column.cells.filter((cell) => data.entries[cell[0]].kind === "encoder" && (state.head === "all" || cell[1] === state.head))
      .map(([entry, head, score, , low, high]) => ({ ...data.entries[entry], head, score, low, high }));
    const unmeasured = state.by === "speed" && !rows.some((row) => defined(row.speed));
    const by = unmeasured ? "parameters" : state.by;
    document.getElementById("unmeasured").hidden = !unmeasured;
    for (const row of rows) row.x = row[by];
    const there = rows.filter((row) => defined(row.x) && defined(row.score));
    const zero = by === "parameters" && there.some((row) => row.x === 0);
    const least = Math.min(...there.map((row) => row.x).filter((x) => x > 0));
    const none = Number.isFinite(least) ? 10 ** (Math.floor(Math.log10(least)) - 1) : 1;
    const at = (row) => (row.x > 0 ? row.x : none);
    const heads = [...new Set(there.map((row) => row.head))].sort();
    const symbols = ["circle", "square", "triangle-up", "diamond", "cross"], hues = ["accent", "wrong", "muted", "pulse", "left"];
    const most = Math.max(none, ...there.map((row) => row.x));
    const powers = [...Array(Math.max(1, Math.ceil(Math.log10(most)) - Math.floor(Math.log10(none)) + 1)).keys()].map((step) => Math.floor(Math.log10(none)) + step);
    const place = document.getElementById("plot");
    place.hidden = !there.length;
    const sides = named(there.filter((row) => row.head === heads[0]), at, place);
    if (there.length) {
      plot(place, (colour) => heads.map((head, index) => {
        const of = there.filter((row) => row.head === head);
        return {
          name: head, x: of.map(at), y: of.map((row) => row.score), mode: "markers+text", type: "scatter",
          text: of.map((row) => (sides.has(row) ? plain(row.name) : "")), textposition: of.map((row) => sides.get(row) ?? "middle right"), customdata: of.map((row) => [plain(row.name), interval(row.low, row.high), row.x]), textfont: { size: 11, color: colour("muted") },
          marker: { size: 9, color: colour(hues[index % 5]), symbol: symbols[index % 5] },
          error_y: { type: "data", symmetric: false, array: of.map((row) => (defined(row.high) ? row.high - row.score : 0)), arrayminus: of.map((row) => (defined(row.low) ? row.score - row.low : 0)), thickness: 1, width: 0, color: colour("muted") },
          hovertemplate: "%{customdata[0]}<br>%{y:.3f} %{customdata[1]}<br>%{customdata[2]:,.4~g}<extra>%{fullData.name}</extra>",
        };
      }), {
        xaxis: { type: "log", title: { text: titles[by] }, tickvals: powers.map((power) => 10 ** power), ticktext: powers.map((power) => (zero && 10 ** power === none ? "none" : power >= 9 ? `${10 ** (power - 9)} G` : power >= 6 ? `${10 ** (power - 6)} M` : power >= 3 ? `${10 ** (power - 3)} k` : `${10 ** power}`)) },
        yaxis: { title: { text: plain(column.metric) } }, legend: { orientation: "h", y: 1.02, yanchor: "bottom" }, margin: { l: 64, r: 24, t: heads.length > 1 ? 48 : 24, b: 48 },
      });
    }
    const unknown = rows.length - there.length;
    document.getElementById("caption").textContent = [
      there.length ? `${column.metric} with its 95 % interval, one mark an encoder and head.` : "",
      unknown ? `${unknown} of ${rows.length} have no ${titles[by]} in their records.` : "",
      by === "speed" ? "Speed is measured while a bench fills the embedding store, on the machine of that run and beside what else ran there; it compares encoders of one run." : "",
    ].join(" ");
    document.getElementById("table").replaceChildren(table("size-and-speed", [
      { title: "encoder", text: true, value: (row) => row.name },
      { title: "head", text: true, value: (row) => row.head },
      { title: "parameters", value: (row) => row.parameters, cell: (row) => count(row.parameters) },
      { title: "s/h", note: "computing, for audio", value: (row) => row.speed, cell: (row) => number(row.speed, 1) },
      { title: column.metric, value: (row) => row.score },
      { title: "low", value: (row) => row.low }, { title: "high", value: (row) => row.high },
    ], rows, { sort: 4, label: "Encoders by size, speed and score" }));
  }

  /** The rows whose names fit beside their marks and to which side, those with high scores first. */
  function named(rows, at, place) {
    const share = (values) => {
      const [least, most] = [Math.min(...values), Math.max(...values)];
      return (value) => (value - least) / (most - least || 1);
    };
    const across = share(rows.map((row) => Math.log10(at(row)))), up = share(rows.flatMap((row) => [row.score, row.low, row.high]).filter(defined));
    const [wide, tall] = [(place.clientWidth || 800) * 0.8, (place.clientHeight || 400) * 0.75];
    const marks = rows.map((row) => ({ x: across(Math.log10(at(row))) * wide, y: up(row.score) * tall }));
    const texts = [], sides = new Map();
    for (const index of MOTIONBEAT.order(rows.map((row) => row.score), true)) {
      const { x, y } = marks[index], long = 6.5 * rows[index].name.length + 8, left = x > wide / 2;
      const [from, to] = left ? [x - long, x - 6] : [x + 6, x + long];
      const covered = texts.some((text) => text.from < to && text.to > from && Math.abs(text.y - y) < 14)
        || marks.some((mark, other) => other !== index && mark.x > from - 6 && mark.x < to + 6 && Math.abs(mark.y - y) < 11);
      if (covered) continue;
      texts.push({ from, to, y });
      sides.set(rows[index], left ? "middle left" : "middle right");
    }
    return sides;
  }

  const read = () => Object.assign(state, START, Object.fromEntries(address.read()));
  addEventListener("hashchange", () => { read(); show(); });
  read();
  show();
}).catch(MOTIONBEAT.failed));
