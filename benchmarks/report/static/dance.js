/* The page of dances that is one file: choose a song, watch its dances, read their scores. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { songs, facts } = JSON.parse(document.getElementById("data").textContent);
  const { select, table, address } = MOTIONBEAT;
  const form = document.getElementById("choice");
  let seen = null;
  function show(index) {
    seen?.end();
    seen = MOTIONBEAT.viewer(document.getElementById("viewer"), songs[index]);
    if (songs.length > 1) address.write({ song: songs[index].title });
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  const asked = Math.max(0, songs.findIndex((song) => song.title === address.read().get("song")));
  if (songs.length > 1) form.append(select("Song", songs.map((song, index) => [String(index), song.title]), String(asked), (value) => show(Number(value))));
  show(asked);
  if (facts.length) {
    const [titles, ...rows] = facts;
    document.getElementById("table").append(table("scores", titles.map((title, column) => ({ title, text: typeof rows[0]?.[column] === "string", value: (row) => row[column] })), rows, { label: "Scores" }));
  }
});
