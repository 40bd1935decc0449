/* The cards: search, those in the report or all, and citations to copy. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const search = document.getElementById("search");
  const used = document.getElementById("used");
  const cards = [...document.querySelectorAll(".card")];
  const asked = () => document.getElementById(decodeURIComponent(location.hash.slice(1)));
  function show() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const told = asked();
    let count = 0;
    for (const card of cards) {
      const text = card.textContent.toLowerCase();
      card.hidden = !(card === told || ((!used.checked || card.dataset.used === "1") && words.every((word) => text.includes(word))));
      count += !card.hidden;
    }
    for (const part of document.querySelectorAll(".cards")) part.previousElementSibling.hidden = ![...part.children].some((card) => !card.hidden);
    document.getElementById("count").textContent = `${count} of ${cards.length} cards`;
  }
  document.addEventListener("click", (event) => {
    if (event.target.matches("[data-copy]")) MOTIONBEAT.copy(event.target.dataset.copy, event.target);
  });
  search.addEventListener("input", show);
  used.addEventListener("change", show);
  search.form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => { show(); asked()?.scrollIntoView(); });
  show();
  asked()?.scrollIntoView();
});
