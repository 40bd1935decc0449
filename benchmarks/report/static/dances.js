/* Dances of several entries to one song; without media, the scores of dances alone. */
"use strict";

document.addEventListener("DOMContentLoaded", () => MOTIONBEAT.load("report").then(async (data) => {
  const { el, address, select, table } = MOTIONBEAT;
  const form = document.getElementById("choice");
  const place = document.getElementById("viewer");
  const state = { song: "" };
  let seen = null;
  form.addEventListener("submit", (event) => event.preventDefault());
  const name = (song) => `${song.dataset}/${song.track}`;

  async function show() {
    const song = data.dances.find((one) => name(one) === state.song) ?? data.dances[0];
    state.song = name(song);
    address.write(state);
    form.replaceChildren(select("Song", data.dances.map((one) => [name(one), one.track]), state.song, (value) => { state.song = value; show().catch(MOTIONBEAT.failed); }));
    const dances = await MOTIONBEAT.load(song.file);
    seen?.end();
    seen = MOTIONBEAT.viewer(place, dances);
    const titles = [...new Set(dances.dances.flatMap((dance) => Object.keys(dance.scores)))];
    document.getElementById("table").replaceChildren(table("dances", [
      { title: "dance", text: true, value: (dance) => dance.name },
      ...titles.map((title) => ({ title, value: (dance) => dance.scores[title] ?? null })),
    ], dances.dances, { label: "Scores of the dances" }),
    el("p", { class: "count" }, "BAS: beat alignment (FACT) with its own music. Own - others: the same less that with the music of others, which a dance that hears nothing has at 0. PFC: physical foot contact, smaller is better. Scores are those of the records, of the first seed."));
  }

  if (!data.dances.length) {
    const columns = data.columns.filter((column) => column.task === "dance");
    place.append(el("p", { class: "notice" }, "This report was made without media. Run motionbeat report --media 3 where the probes of a bench of the task dance are kept, to watch the dances of its entries here."));
    for (const column of columns) {
      const details = await MOTIONBEAT.load(`details-${data.columns.indexOf(column)}`);
      const rows = column.cells.map((cell, index) => ({ name: data.entries[cell[0]].name, kind: data.entries[cell[0]].kind, metrics: details[index].metrics }));
      place.append(el("h2", {}, `Dances to ${column.dataset}${column.again}`), table(`dances-${column.dataset}`, [
        { title: "entry", text: true, value: (row) => row.name, cell: (row) => (row.kind === "encoder" ? row.name : el("em", {}, `${row.name} (${row.kind})`)) },
        ...column.headline.map((title, at) => ({ title, value: (row) => row.metrics[at][0] })),
      ], rows, { sort: 1, label: `Dances to ${column.dataset}` }));
    }
    return;
  }
  addEventListener("hashchange", () => { Object.assign(state, Object.fromEntries(address.read())); show().catch(MOTIONBEAT.failed); });
  Object.assign(state, Object.fromEntries(address.read()));
  await show();
}).catch(MOTIONBEAT.failed));
