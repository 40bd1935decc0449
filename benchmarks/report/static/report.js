/* What all pages share: data, the address, elements made of text, tables, the theme. */
"use strict";

const MOTIONBEAT = (() => {
  const known = new Map();
  const waiting = new Map();

  /** Files of the folder data call this with what they hold. */
  function put(name, value) {
    known.set(name, value);
    waiting.get(name)?.(value);
  }

  /** What the file data/NAME.js holds; pages from disk may not fetch, but may load scripts. */
  function load(name) {
    if (known.has(name)) return Promise.resolve(known.get(name));
    return new Promise((resolve, reject) => {
      waiting.set(name, resolve);
      const script = document.createElement("script");
      script.src = `data/${name}.js`;
      script.onerror = () => reject(new Error(`data/${name}.js is missing; build the report again`));
      document.head.append(script);
    });
  }

  /** An element; strings become text and never markup, whatever they hold. */
  function el(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
  }

  const defined = (value) => value !== null && value !== undefined && Number.isFinite(value);
  const number = (value, digits = 3) => (defined(value) ? value.toFixed(digits).replace(/^-/, "−") : "–");
  /** A score as the tables write it; one that would be rounded to 0 keeps its size. */
  const score = (value) => (defined(value) && value !== 0 && Math.abs(value) < 0.0005 ? value.toExponential(1).replaceAll("-", "−") : number(value));
  const interval = (low, high, digits = 3) => (defined(low) && defined(high) ? `[${number(low, digits)}, ${number(high, digits)}]` : "");
  const count = (value) => (defined(value) ? value.toLocaleString("en-GB") : "–");

  /** The part of the address behind #, which keeps what a page shows. */
  const address = {
    read: () => new URLSearchParams(location.hash.slice(1)),
    write(values) {
      const kept = new URLSearchParams();
      for (const [name, value] of Object.entries(values)) if (value !== "" && value !== null && value !== undefined) kept.set(name, value);
      history.replaceState(null, "", `#${kept}`);
    },
    link: (page, values) => `${page}#${new URLSearchParams(values)}`,
  };

  const alphabet = new Intl.Collator("en", { numeric: true }); // much faster than localeCompare

  /** Order of numbers or texts; what is undefined comes last both ways. */
  function order(values, descending) {
    const places = Uint32Array.from(values.keys());
    const missing = (value) => value === null || value === undefined || Number.isNaN(value);
    const sign = descending ? -1 : 1;
    return places.sort((one, other) => {
      const a = values[one], b = values[other];
      if (missing(a) || missing(b)) return missing(a) - missing(b) || one - other;
      return (typeof a === "string" ? sign * alphabet.compare(a, b) : sign * (a - b)) || one - other;
    });
  }

  /** Mean ranks and Borda counts of rows by columns of scores, undefined scores left out.
   *
   * A rank counts the rows above, ties as half. A Borda count has for each column a point for every
   * row below and half a point for every other row that is tied; a missing score has none.
   */
  function ranks(columns) {
    const size = columns.length ? columns[0].length : 0;
    const sum = new Float64Array(size), seen = new Uint32Array(size), borda = new Float64Array(size);
    for (const scores of columns) {
      const there = [...scores.keys()].filter((row) => defined(scores[row]));
      there.sort((a, b) => scores[b] - scores[a]);
      for (let first = 0; first < there.length; ) {
        let next = first + 1;
        while (next < there.length && scores[there[next]] === scores[there[first]]) next++;
        for (let place = first; place < next; place++) {
          sum[there[place]] += (first + 1 + next) / 2;
          borda[there[place]] += there.length - (first + 1 + next) / 2;
          seen[there[place]]++;
        }
        first = next;
      }
    }
    return {
      rank: Array.from(sum, (value, row) => (seen[row] ? value / seen[row] : null)),
      borda: Array.from(borda, (value, row) => (seen[row] ? value : null)),
      seen: Array.from(seen),
    };
  }

  /** Numbers that lie as base64 in a file. */
  function unpacked(text, Type) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Type(bytes.buffer);
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = el("textarea", { style: { position: "fixed", opacity: "0" } }, text);
      (button.closest("dialog") ?? document.body).append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    const said = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = said), 1500);
  }
  const copyButton = (text, label) => el("button", { type: "button", class: "quiet copy", onclick: (event) => copy(text, event.currentTarget) }, label);

  /** A button that gives rows (the first of them titles) as a CSV file. */
  function csvButton(name, rows) {
    const field = (value) => {
      const text = value === null || value === undefined ? "" : String(value);
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return el("button", {
      type: "button", class: "quiet", onclick: () => {
        const text = rows().map((row) => row.map(field).join(",")).join("\r\n");
        const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `${name}.csv` });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      },
    }, "Download CSV");
  }

  const SHOWN = 200;

  /** A table that sorts by its heads and shows the first rows at once, the others when asked.
   *
   * Columns: title, note, text (whether aligned as text), value(row) to sort and export by, and
   * cell(row) that fills the cell, by default with the value. The first column heads its row.
   */
  function table(name, columns, rows, { sort = null, descending = true, label = name } = {}) {
    const body = el("tbody");
    const more = el("p");
    let by = sort, down = descending, shown = SHOWN, places = rows.map((_, index) => index);
    const heads = columns.map((column, index) => el("th", { scope: "col", class: column.text ? "text" : null },
      el("button", { type: "button", onclick: () => resort(index) }, el("span", {}, column.title), column.note ? el("small", {}, column.note) : null)));
    const region = el("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" },
      el("table", {}, el("thead", {}, el("tr", {}, heads)), body));

    function resort(index) {
      down = by === index ? !down : !columns[index].text;
      by = index;
      draw();
    }
    function draw() {
      places = by === null ? rows.map((_, index) => index) : order(rows.map(columns[by].value), down);
      heads.forEach((head, index) => (index === by ? head.setAttribute("aria-sort", down ? "descending" : "ascending") : head.removeAttribute("aria-sort")));
      body.replaceChildren(...Array.from(places.slice(0, shown), (place) => line(rows[place])));
      more.replaceChildren(...(rows.length > shown ? [el("button", { type: "button", class: "quiet", onclick: () => { shown = rows.length; draw(); } }, `Show all ${count(rows.length)} rows`)] : []));
    }
    function line(row) {
      return el("tr", {}, columns.map((column, index) => {
        const content = column.cell ? column.cell(row) : show(column.value(row));
        const filled = content instanceof Node ? content : el("bdi", {}, String(content));
        return index ? el("td", { class: column.text ? "text" : null }, filled) : el("th", { scope: "row", title: column.value(row) }, filled);
      }));
    }
    const show = (value) => (typeof value === "number" ? score(value) : value ?? "–");
    draw();
    const csv = csvButton(name, () => [columns.map((column) => column.title), ...Array.from(places, (place) => columns.map((column) => column.value(rows[place])))]);
    return el("div", {}, region, more, el("div", { class: "toolbar" }, csv));
  }

  /** A labelled select; options are [value, text] pairs. */
  function select(label, options, value, changed) {
    const box = el("select", { onchange: (event) => changed(event.target.value) },
      options.map(([one, text]) => el("option", { value: one, selected: one === value }, text)));
    return el("label", {}, label, box);
  }

  const themes = { light: "dark", dark: "light" };
  const system = matchMedia("(prefers-color-scheme: dark)");
  function remembered() {
    try { return localStorage.getItem("theme"); } catch { return null; }
  }
  const theme = () => document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
  function setTheme(name) {
    if (name) document.documentElement.dataset.theme = name;
    const button = document.getElementById("theme");
    if (button) button.textContent = theme() === "dark" ? "Light" : "Dark";
    document.dispatchEvent(new Event("theme"));
  }
  if (remembered() in themes) setTheme(remembered());
  document.addEventListener("DOMContentLoaded", () => {
    setTheme(null);
    document.getElementById("theme")?.addEventListener("click", () => {
      const name = themes[theme()];
      try { localStorage.setItem("theme", name); } catch { /* not every browser keeps it for files */ }
      setTheme(name);
    });
  });
  system.addEventListener("change", () => setTheme(null));

  /** A colour of the style sheet as it is now, for pictures. */
  function colour(name) {
    const probe = el("i", { style: { color: `var(--${name})`, display: "none" } });
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  }

  /** Draw a picture with plotly in the colours of the page, again when the theme changes. */
  function plot(place, traces, layout) {
    const draw = () => {
      const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
      const titled = (one) => ({ ...axis, ...one, title: { standoff: 10, ...one.title } });
      Plotly.react(place, traces(colour), {
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 64, r: 24, t: 24, b: 48 },
        font: { family: getComputedStyle(document.body).fontFamily, color: colour("ink"), size: 13 },
        hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") }, align: "left" },
        ...layout, xaxis: titled(layout.xaxis), yaxis: titled(layout.yaxis),
      }, { displayModeBar: false, responsive: true });
    };
    plot.again = draw;
    draw();
  }
  document.addEventListener("theme", () => plot.again?.());

  /** Text that plotly shows as it is: it takes some tags for markup. */
  const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  /** Say on the page what went wrong, and nothing on the console. */
  function failed(error) {
    document.getElementById("main").append(el("p", { class: "notice", role: "alert" }, error.message));
  }

  return { put, load, el, defined, number, score, interval, count, address, order, ranks, unpacked, copy, copyButton, csvButton, table, select, theme, colour, plot, plain, failed };
})();
