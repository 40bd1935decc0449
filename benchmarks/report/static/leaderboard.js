/* The leaderboard: entries by columns, what filters leave of them, ranks over what is shown. */
"use strict";

MOTIONBEAT.load("report").then((data) => {
  const { el, number, score, interval, count, address, order, ranks, copyButton, csvButton, select, defined } = MOTIONBEAT;
  const MARKS = ["", "†", "‡"];
  const ALL = "all";
  const STEP = 200;
  const DEFAULTS = { task: "", dataset: "", data: "", head: "linear", mode: "", max: "", commercial: "", overlap: "mark", others: "1", q: "", sort: "", up: "" };
  const state = { ...DEFAULTS, ...Object.fromEntries(address.read()) };
  const chosen = (name) => new Set(state[name].split(",").filter(Boolean).map(decodeURIComponent));
  const distinct = (values) => [...new Set(values)].sort();
  const heads = distinct(data.columns.flatMap((column) => column.heads)).filter((head) => data.columns.some((column) => column.heads.length > 1 && column.heads.includes(head)));
  const modes = distinct(data.entries.filter((entry) => entry.kind === "encoder").map((entry) => entry.mode));
  let limit = STEP;
  let shown = { rows: [], columns: [] };

  /** Rows of an entry and a head. With one head chosen, a column with a single head shows that. */
  function build() {
    const rows = new Map();
    data.columns.forEach((column, at) => column.cells.forEach((cell, index) => {
      const [number, head] = cell;
      const wanted = state.head === ALL || head === "none" || head === state.head || column.heads.length === 1;
      if (!wanted) return;
      const key = state.head === ALL ? `${number} ${head}` : `${number}`;
      if (!rows.has(key)) rows.set(key, { entry: data.entries[number], head: state.head === ALL && head !== "none" ? head : null, cells: new Map() });
      rows.get(key).cells.set(at, { at, index, score: cell[2], std: cell[3], low: cell[4], high: cell[5], mark: cell[6], tied: cell[7], head });
    }));
    return [...rows.values()];
  }

  function filtered() {
    const tasks = chosen("task"), datasets = chosen("dataset"), kinds = chosen("data");
    const within = (set, value) => !set.size || set.has(value);
    let columns = data.columns.map((column, at) => ({ ...column, at })).filter((column) => within(tasks, column.task) && within(datasets, column.dataset) && within(kinds, column.data));
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    const hidden = (cell) => (state.overlap === "strict" && cell.mark > 0) || (state.overlap === "hide" && cell.mark === 1);
    const rows = build().filter(({ entry, head }) => {
      if (entry.kind !== "encoder" && !state.others) return false;
      if (state.mode && entry.kind === "encoder" && entry.mode !== state.mode) return false;
      if (state.commercial && entry.commercial !== true) return false;
      if (state.max && !(entry.parameters === null ? entry.kind !== "encoder" : entry.parameters <= Number(state.max))) return false;
      return words.every((word) => `${entry.name} ${head ?? ""} ${entry.kind}`.toLowerCase().includes(word));
    });
    for (const row of rows) for (const [at, cell] of row.cells) if (hidden(cell)) row.cells.delete(at);
    const left = rows.filter((row) => columns.some((column) => row.cells.has(column.at)));
    columns = columns.filter((column) => left.some((row) => row.cells.has(column.at)));
    const ranked = left.filter((row) => row.entry.kind === "encoder");
    const found = ranks(columns.map((column) => ranked.map((row) => row.cells.get(column.at)?.score ?? null)));
    left.forEach((row) => Object.assign(row, { rank: null, borda: null, seen: 0 }));
    ranked.forEach((row, place) => Object.assign(row, { rank: found.rank[place], borda: found.borda[place], seen: found.seen[place] }));
    return { rows: left, columns };
  }

  const form = document.getElementById("filters");
  const board = document.getElementById("board");
  const dialog = document.getElementById("details");

  function several(name, title, values, texts = values) {
    if (values.length < 2) return null;
    const summary = el("summary");
    const say = () => summary.replaceChildren(`${title}: `, chosen(name).size ? el("b", {}, chosen(name).size === 1 ? [...chosen(name)][0] : `${chosen(name).size} of ${values.length}`) : "all");
    const boxes = values.map((value, place) => el("label", { class: "check" }, el("input", {
      type: "checkbox", value, checked: chosen(name).has(value), onchange: () => {
        state[name] = boxes.map((box) => box.firstChild).filter((box) => box.checked).map((box) => encodeURIComponent(box.value)).join(",");
        say();
        update();
      },
    }), texts[place]));
    say();
    return el("details", {}, summary, el("fieldset", {}, el("legend", {}, title), boxes));
  }
  function tick(name, text, on = "1") {
    return el("label", { class: "check" }, el("input", { type: "checkbox", checked: state[name] === on, onchange: (event) => { state[name] = event.target.checked ? on : ""; update(); } }), text);
  }

  function controls() {
    const set = (name) => (value) => { state[name] = value; update(); };
    form.replaceChildren(...[
      el("label", {}, "Search", el("input", { type: "search", value: state.q, autocomplete: "off", placeholder: "encoder", oninput: (event) => set("q")(event.target.value) })),
      several("task", "Task", distinct(data.columns.map((column) => column.task))),
      several("dataset", "Dataset", distinct(data.columns.map((column) => column.dataset))),
      several("data", "Data", distinct(data.columns.map((column) => column.data))),
      heads.length > 1 ? select("Head (probe)", [...heads.map((head) => [head, head]), [ALL, "all, a row each"]], state.head, set("head")) : null,
      modes.length > 1 ? select("Encoder is", [["", "frozen or fine-tuned"], ...modes.map((mode) => [mode, mode])], state.mode, set("mode")) : null,
      select("Parameters", [["", "any"], ["0", "none"], ["1000000", "at most 1 M"], ["10000000", "at most 10 M"], ["100000000", "at most 100 M"], ["1000000000", "at most 1 G"]], state.max, set("max")),
      select("Training-data overlap", [["mark", "marked † ‡"], ["hide", "without †"], ["strict", "without † and ‡"]], state.overlap, set("overlap")),
      tick("commercial", "licence allows commercial use"),
      tick("others", "baselines and bounds"),
      el("button", { type: "button", class: "quiet", onclick: () => { Object.assign(state, DEFAULTS); controls(); update(); } }, "Reset"),
    ].filter(Boolean));
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => form.querySelectorAll("details[open]").forEach((one) => { if (!one.contains(event.target)) one.open = false; }));
  form.addEventListener("keydown", (event) => {
    const open = event.key === "Escape" && event.target.closest("details[open]");
    if (open) { open.open = false; open.firstChild.focus(); }
  });

  function update() {
    limit = STEP;
    shown = filtered();
    const kept = Object.fromEntries(Object.entries(state).filter(([name, value]) => value !== DEFAULTS[name]));
    address.write(kept);
    draw();
  }

  const keys = {
    name: (row) => row.entry.name, rank: (row) => row.rank, borda: (row) => row.borda,
  };
  const keyOf = (name) => {
    const column = shown.columns.find((one) => one.id === name);
    return keys[name] ?? (column ? (row) => row.cells.get(column.at)?.score ?? null : null);
  };
  const falls = (name) => name !== "name" && name !== "rank";

  function sortBy(name) {
    const again = current() === name;
    state.up = again && !state.up ? "1" : "";
    state.sort = name;
    update();
  }
  const current = () => (keyOf(state.sort) ? state.sort : shown.columns.length === 1 ? shown.columns[0].id : "borda");

  function draw() {
    const { rows, columns } = shown;
    const by = current();
    const descending = falls(by) !== (state.up === "1");
    const places = order(rows.map(keyOf(by)), descending);
    const head = (name, title, note, text) => el("th", { scope: "col", class: text ? "text" : null, "aria-sort": by === name ? (descending ? "descending" : "ascending") : null },
      el("button", { type: "button", onclick: () => sortBy(name) }, el("span", {}, title), ...(note ? note.map((one) => el("small", {}, one)) : [])));
    const extents = columns.map((column) => extent(rows, column.at));
    const lines = Array.from(places.slice(0, limit), (place) => line(rows[place], columns, extents));
    board.replaceChildren(el("table", { class: "board" },
      el("thead", {}, el("tr", {},
        head("name", "entry", null, true), head("rank", "mean rank", ["of encoders"]), head("borda", "Borda", ["count"]),
        columns.map((column) => head(column.id, column.task, [`${column.dataset}${column.again}`, column.metric, `${column.data}${column.partial ? ", partial" : ""}, n = ${column.tracks}`])))),
      el("tbody", {}, lines)));
    board.querySelector(".score button")?.setAttribute("tabindex", "0");
    const names = (wanted) => new Set(rows.filter((row) => (row.entry.kind === "encoder") === wanted).map((row) => row.entry.name)).size;
    document.getElementById("count").replaceChildren(`${count(names(true))} encoders and ${count(names(false))} other entries: ${count(rows.length)} rows, ${count(columns.length)} columns`);
    document.getElementById("more").replaceChildren(
      ...(rows.length > limit ? [el("button", { type: "button", class: "quiet", onclick: () => { limit = rows.length; draw(); } }, `Show all ${count(rows.length)} rows`), " "] : []),
      csvButton("leaderboard", () => table(places)));
    legend(rows, columns);
  }

  /** What a column spans, for colours and interval bars: of encoders, or of all where there is none. */
  function extent(rows, at) {
    const cells = rows.filter((row) => row.entry.kind === "encoder").map((row) => row.cells.get(at)).filter(Boolean);
    const all = cells.length ? cells : rows.map((row) => row.cells.get(at)).filter(Boolean);
    const span = (values) => values.filter(defined).reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    return { score: span(all.map((cell) => cell.score)), whole: span(all.flatMap((cell) => [cell.score, cell.low, cell.high])) };
  }

  function line({ entry, head, cells, rank, borda, seen }, columns, extents) {
    const note = entry.kind !== "encoder" ? ` (${entry.kind})` : head ? ` · ${head}` : "";
    return el("tr", { class: entry.kind === "encoder" ? null : "other" },
      el("th", { scope: "row", title: entry.name }, el("bdi", {}, entry.name), note),
      el("td", { title: rank === null ? null : `in ${seen} of ${columns.length} columns` }, number(rank, 1), rank !== null && seen < columns.length ? el("small", {}, ` of ${seen}`) : null),
      el("td", {}, number(borda, 1)),
      columns.map((column, place) => {
        const cell = cells.get(column.at);
        if (!cell || !defined(cell.score)) return el("td", { class: "none" }, cell ? "undefined" : "–");
        const { score: [least, most], whole: [low, high] } = extents[place];
        const share = most > least ? (cell.score - least) / (most - least) : 0.5;
        const across = (value) => `${(100 * Math.min(1, Math.max(0, (value - low) / (high - low || 1)))).toFixed(1)}%`;
        const marks = `${MARKS[cell.mark]}${cell.tied ? "•" : ""}`;
        const bar = defined(cell.low) ? el("span", { class: "range", "aria-hidden": "true" },
          el("i", { style: { left: across(cell.low), right: `calc(100% - ${across(cell.high)})` } }), el("b", { style: { left: across(cell.score) } })) : null;
        return el("td", { class: `score${cell.tied ? " tied" : ""}`, style: { "--of": `${Math.round(48 * Math.min(1, Math.max(0, share)))}%` } },
          el("button", { type: "button", tabindex: "-1", onclick: () => details(column, cell) },
            el("span", { class: "value" }, number(cell.score)), el("span", { class: "mark" }, marks),
            el("small", {}, interval(cell.low, cell.high) || "\u00a0"), bar));
      }));
  }

  /** Arrow keys move between scores, so that the table is one stop of the tab key. */
  board.addEventListener("keydown", (event) => {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const cell = event.target.closest("td.score");
    if (!cell || !(event.key in steps)) return;
    event.preventDefault();
    const [down, right] = steps[event.key];
    let [row, column] = [cell.parentNode.rowIndex + down, cell.cellIndex + right];
    const lines = cell.closest("table").rows;
    for (; lines[row]?.cells[column]; row += down, column += right) {
      const next = lines[row].cells[column].querySelector("button[tabindex]");
      if (next) {
        cell.firstChild.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        return next.focus();
      }
    }
  });

  function table(places) {
    const { rows, columns } = shown;
    const names = columns.map((column) => `${column.id} ${column.metric}`);
    const parts = ["", " std", " low", " high", " head", " overlap", " not significantly below the best"];
    const values = (cell) => (cell ? [cell.score, cell.std, cell.low, cell.high, cell.head, MARKS[cell.mark], cell.tied ? "yes" : ""] : parts.map(() => ""));
    return [
      ["entry", "kind", "head", "parameters", "licence", "training data", "mean rank", "Borda", ...names.flatMap((name) => parts.map((part) => name + part))],
      ...Array.from(places, (place) => rows[place]).map((row) => [row.entry.name, row.entry.kind, row.head, row.entry.parameters, row.entry.licence, row.entry.training, row.rank, row.borda, ...columns.flatMap((column) => values(row.cells.get(column.at)))]),
    ];
  }

  function legend(rows, columns) {
    const cells = rows.flatMap((row) => columns.map((column) => row.cells.get(column.at)).filter(Boolean));
    const lines = [
      cells.some((cell) => cell.tied) && "• not significantly below the best encoder with the same head on the same tracks: paired test, Holm-corrected p ≥ .05 (with fewer than five groups of tracks, the best alone). It is compared with the best of all, whatever is shown.",
      cells.some((cell) => cell.mark === 1) && `† ${data.meanings[0]}`,
      cells.some((cell) => cell.mark === 2) && `‡ ${data.meanings[1]}`,
      "Colour runs from the lowest to the highest encoder shown in a column. Mean rank and Borda count are over what is shown, of encoders alone: a rank counts columns that have a score; a Borda count has a point for every encoder below, half a point for a tie, none for a missing score.",
      ...new Set(columns.flatMap((column) => column.warnings)),
    ].filter(Boolean);
    document.getElementById("legend").replaceChildren(...lines.map((text) => el("p", {}, text)));
  }

  async function details(column, cell) {
    const entry = data.entries[column.cells[cell.index][0]];
    const all = await MOTIONBEAT.load(`details-${column.at}`);
    const facts = all[cell.index];
    const fact = (name, value) => (value === null || value === undefined || value === "" ? [] : [el("dt", {}, name), el("dd", {}, value)]);
    const compared = facts.compared_with ? `${facts.compared_with}, p = ${number(facts.p_value, 3)}, Holm-corrected ${number(facts.p_holm, 3)}` : null;
    const me = { column: column.id, a: `${entry.name} ${cell.head}` };
    const best = column.cells.map((one) => ({ name: data.entries[one[0]].name, kind: data.entries[one[0]].kind, head: one[1], score: one[2] })).filter((one) => one.kind === "encoder" && `${one.name} ${one.head}` !== me.a).sort((a, b) => b.score - a.score)[0];
    dialog.replaceChildren(
      el("h2", { id: "details-title" }, `${entry.name}${cell.head === "none" ? "" : ` · ${cell.head} head`}`),
      el("p", { class: "lead" }, `${column.task} on ${column.dataset} (${column.data})`),
      el("button", { type: "button", class: "quiet close", onclick: () => dialog.close() }, "Close"),
      el("div", { class: "scroll", role: "region", "aria-label": "Metrics", tabindex: "0" }, el("table", {},
        el("thead", {}, el("tr", {}, ["metric", "mean", "± over seeds", "95 % interval"].map((title, place) => el("th", { scope: "col", class: place ? null : "text" }, title)))),
        el("tbody", {}, column.headline.map((title, place) => {
          const [mean, std, low, high] = facts.metrics[place];
          return el("tr", {}, el("th", { scope: "row" }, title), el("td", {}, score(mean)), el("td", {}, facts.seeds > 1 ? number(std) : "–"), el("td", {}, interval(low, high)));
        })))),
      el("p", {}, "To reproduce it: ", copyButton(facts.command, "Copy command")), el("pre", {}, el("code", {}, facts.command)), ...(facts.remark ? [el("p", { class: "count" }, `${facts.remark}.`)] : []),
      el("dl", {},
        fact("test tracks", `${column.tracks} in ${column.groups} groups${column.folds > 1 ? `, ${column.folds} folds` : ""}`),
        fact("seeds", facts.seeds), fact("learning rate", facts.learning_rate), fact("sweep", facts.sweep),
        fact("trained on", column.trained_on), fact("compared with", compared),
        fact("encoder revision", facts.revision), fact("dataset revision", column.revision),
        fact("parameters", entry.parameters === null ? null : count(entry.parameters)), fact("licence", entry.licence),
        fact("training data", entry.training || (entry.kind === "encoder" ? "none" : null)),
        fact("encoding", defined(facts.speed) ? `${number(facts.speed, 1)} s for an hour of audio` : null),
        fact("head", defined(facts.seconds) ? `${number(facts.seconds, 1)} s to train, decode and score` : null),
        fact("machine", facts.hardware), fact("finished", `${facts.finished}, motionbeat ${facts.package_version}, task version ${facts.task_version}`),
        fact("commit", facts.git_commit), fact("warnings", facts.warnings),
        facts.layers.length > 1 ? [el("dt", {}, "layer weights"), el("dd", {}, layers(facts.layers))] : []),
      el("div", { class: "toolbar" },
        best ? el("a", { href: address.link("compare.html", { ...me, b: `${best.name} ${best.head}` }) }, `Compare with ${best.name}`) : null,
        el("a", { href: address.link("tracks.html", { column: column.id }) }, "Its tracks"),
        el("a", { href: `cards.html#datasets/${encodeURIComponent(column.dataset)}` }, "Card of the dataset"),
        entry.kind === "encoder" ? el("a", { href: `cards.html#encoders/${encodeURIComponent(entry.name.replace(/\.(lora|full)$/, ""))}` }, "Card of the encoder") : null));
    dialog.showModal();
  }
  const layers = (weights) => {
    const most = Math.max(...weights);
    const said = `${weights.length} layers, the first to the last: ${weights.map((weight) => number(weight, 2)).join(", ")}`;
    return el("div", { class: "bars", role: "img", "aria-label": said, title: said }, weights.map((weight) => el("i", { style: { height: `${100 * weight / most}%` } })));
  };
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });

  addEventListener("hashchange", () => { Object.assign(state, DEFAULTS, Object.fromEntries(address.read())); controls(); update(); });
  controls();
  update();
}).catch(MOTIONBEAT.failed);
