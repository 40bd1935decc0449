/* A track with lanes: its waveform, the annotated beats, and the beats that entries predict. */
"use strict";

(() => {
  const { el, number, unpacked, colour } = MOTIONBEAT;
  const NEAR = 0.07; // s within which a beat is right, as in the F-measure
  const AHEAD = 0.15; // s before which clicks are scheduled
  const TONES = { reference: 2000, right: 1300, wrong: 330 }; // Hz

  /** Which of some beats are within 70 ms of a reference that is not taken, in order of time. */
  MOTIONBEAT.hits = (beats, reference) => {
    const right = new Array(beats.length).fill(false);
    let next = 0;
    beats.forEach((beat, place) => {
      while (next < reference.length && reference[next] < beat - NEAR) next++;
      if (next < reference.length && Math.abs(reference[next] - beat) <= NEAR) {
        right[place] = true;
        next++;
      }
    });
    return right;
  };

  /** Clicks in time with a clock, scheduled a little ahead so that a busy page does not shift them. */
  function clicker(player, lanes) {
    let context = null, sounding = [], upTo = -1;
    function silence() {
      for (const sound of sounding) sound.stop();
      sounding = [];
      upTo = -1;
    }
    function click(at, tone, strong) {
      const sound = context.createOscillator(), gain = context.createGain();
      sound.frequency.value = tone * (strong ? 1.5 : 1);
      gain.gain.setValueAtTime(strong ? 0.5 : 0.3, at);
      gain.gain.exponentialRampToValueAtTime(0.001, at + 0.05);
      sound.connect(gain).connect(context.destination);
      sound.start(at);
      sound.stop(at + 0.06);
      sound.onended = () => { sounding = sounding.filter((one) => one !== sound); };
      sounding.push(sound);
    }
    function schedule() {
      const now = player.time();
      if (player.clock.paused) return;
      const until = now + AHEAD * player.clock.playbackRate;
      if (upTo < 0 || now > upTo + 0.1 || now < upTo - 1) upTo = now;
      for (const lane of lanes) {
        if (!lane.clicks) continue;
        lane.beats.forEach((beat, place) => {
          if (beat < upTo || beat >= until) return;
          const tone = lane.right ? TONES[lane.right[place] ? "right" : "wrong"] : TONES.reference;
          click(context.currentTime + Math.max(0, beat - now) / player.clock.playbackRate, tone, lane.strong.has(beat));
        });
      }
      upTo = until;
    }
    let timer = null;
    player.clock.addEventListener("play", () => {
      context ??= new AudioContext();
      context.resume();
      silence();
      clearInterval(timer);
      timer = setInterval(schedule, 40);
    });
    player.clock.addEventListener("pause", () => { clearInterval(timer); silence(); });
    player.clock.addEventListener("seeking", silence);
    return { silence };
  }

  /** Show a track; data: music as of transport, peaks, reference (beats, downbeats), lanes (name,
   * beats, downbeats, and activation in bytes with its rate, where there is one).
   */
  MOTIONBEAT.player = (place, data) => {
    const peaks = unpacked(data.peaks, Int8Array);
    const reference = { name: "annotated", beats: data.beats, strong: new Set(data.downbeats), clicks: false, shown: true, right: null };
    const lanes = [...(data.beats.length ? [reference] : []), ...data.lanes.map((lane, place) => ({
      ...lane, strong: new Set(lane.downbeats), shown: true, clicks: place === 0,
      activation: lane.activation ? unpacked(lane.activation, Uint8Array) : null,
      right: data.beats.length ? MOTIONBEAT.hits(lane.beats, data.beats) : null,
    }))];
    const WAVE = 64, LANE = 46, AXIS = 20;
    let width = 12; // s that are shown
    const canvas = el("canvas", { class: "lanes", role: "img", tabindex: "0", "aria-label": `Waveform, annotated and predicted beats of ${data.name}. Space plays, arrow keys seek.` });
    const height = () => WAVE + AXIS + LANE * lanes.filter((lane) => lane.shown).length;
    let inks = {};
    const repaint = () => {
      inks = Object.fromEntries(["ink", "card", "line", "muted", "accent", "wrong", "pulse"].map((name) => [name, colour(name)]));
      fit();
    };

    function span(time) {
      const seconds = Math.min(width, data.duration);
      return Math.max(0, Math.min(time - seconds / 3, data.duration - seconds));
    }
    function draw(time) {
      const scale = canvas.width / canvas.clientWidth || 1, context = canvas.getContext("2d");
      const across = canvas.clientWidth, from = span(time), seconds = Math.min(width, data.duration);
      const at = (moment) => ((moment - from) / seconds) * across;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, across, height());
      context.strokeStyle = inks.muted;
      context.lineWidth = 1;
      context.beginPath();
      const each = peaks.length / 2 / data.duration;
      for (let x = 0; x < across; x++) {
        const first = Math.floor((from + (x / across) * seconds) * each), end = Math.max(first + 1, Math.floor((from + ((x + 1) / across) * seconds) * each));
        let [low, high] = [127, -127];
        for (let peak = first; peak < end && peak < peaks.length / 2; peak++) {
          low = Math.min(low, peaks[2 * peak]);
          high = Math.max(high, peaks[2 * peak + 1]);
        }
        if (low <= high) {
          context.moveTo(x + 0.5, WAVE / 2 - (high / 127) * (WAVE / 2 - 2) - 0.5);
          context.lineTo(x + 0.5, WAVE / 2 - (low / 127) * (WAVE / 2 - 2) + 0.5);
        }
      }
      context.stroke();
      let top = WAVE;
      context.font = "12px system-ui, sans-serif";
      for (const lane of lanes.filter((one) => one.shown)) {
        context.fillStyle = inks.line;
        context.fillRect(0, top, across, 1);
        if (lane.activation) curve(context, lane, top, at, from, seconds);
        lane.beats.forEach((beat, place) => {
          if (beat < from - 0.1 || beat > from + seconds + 0.1) return;
          const right = lane.right ? lane.right[place] : true, strong = lane.strong.has(beat);
          context.fillStyle = lane.right === null ? inks.ink : right ? inks.accent : inks.wrong;
          const tall = LANE - (strong ? 18 : 24), thick = strong ? 3 : 1.5;
          context.fillRect(at(beat) - thick / 2, top + LANE - tall, thick, tall);
          if (!right) cross(context, at(beat), top + LANE - tall - 4);
        });
        context.fillStyle = inks.card;
        const text = `${lane.name}${lane.note ? `  ${lane.note}` : ""}`;
        context.fillRect(0, top + 1, context.measureText(text).width + 12, 16);
        context.fillStyle = inks.ink;
        context.fillText(text, 6, top + 13);
        top += LANE;
      }
      context.fillStyle = inks.line;
      context.fillRect(0, top, across, 1);
      context.fillStyle = inks.muted;
      const step = seconds > 60 ? 10 : seconds > 20 ? 5 : 1;
      for (let moment = Math.ceil(from / step) * step; moment <= from + seconds; moment += step) {
        context.fillRect(at(moment), top, 1, 4);
        context.fillText(`${moment} s`, at(moment) + 3, top + 14);
      }
      context.fillStyle = inks.pulse;
      context.fillRect(at(time) - 1, 0, 2, top);
      canvas.dataset.time = time.toFixed(4);
    }
    function curve(context, lane, top, at, from, seconds) {
      const frames = lane.activation.length / 2;
      const [first, end] = [Math.max(0, Math.floor(from * lane.rate) - 1), Math.min(frames, Math.ceil((from + seconds) * lane.rate) + 2)];
      [[0, inks.accent, 0.28], [1, inks.pulse, 0.4]].forEach(([which, shade, alpha]) => {
        context.beginPath();
        context.moveTo(at(first / lane.rate), top + LANE);
        for (let frame = first; frame < end; frame++) context.lineTo(at(frame / lane.rate), top + LANE - (lane.activation[which * frames + frame] / 255) * (LANE - 18));
        context.lineTo(at((end - 1) / lane.rate), top + LANE);
        context.fillStyle = shade;
        context.globalAlpha = alpha;
        context.fill();
        context.globalAlpha = 1;
      });
    }
    function cross(context, x, y) {
      context.strokeStyle = inks.wrong;
      context.lineWidth = 1.75;
      context.beginPath();
      context.moveTo(x - 3, y - 3); context.lineTo(x + 3, y + 3);
      context.moveTo(x + 3, y - 3); context.lineTo(x - 3, y + 3);
      context.stroke();
    }
    function fit() {
      const scale = Math.min(2, devicePixelRatio || 1);
      canvas.style.height = `${height()}px`;
      canvas.width = Math.max(1, Math.round(canvas.clientWidth * scale));
      canvas.height = Math.round(height() * scale);
      player.again();
    }

    const player = MOTIONBEAT.transport(data, draw);
    const clicks = clicker(player, lanes);
    canvas.addEventListener("click", (event) => player.seek(span(player.time()) + (event.offsetX / canvas.clientWidth) * Math.min(width, data.duration)));
    canvas.addEventListener("keydown", (event) => {
      const actions = { ArrowLeft: () => player.seek(player.time() - 1), ArrowRight: () => player.seek(player.time() + 1), " ": () => player.toggle() };
      if (!(event.key in actions)) return;
      event.preventDefault();
      actions[event.key]();
    });
    player.element.append(MOTIONBEAT.select("Shown", [["6", "6 s"], ["12", "12 s"], ["30", "30 s"], ["100000", "all"]], "12", (value) => { width = Number(value); player.again(); }));
    const tick = (text, lane, name, after) => el("label", {}, el("input", { type: "checkbox", checked: lane[name], onchange: (event) => { lane[name] = event.target.checked; after(); } }), text);
    const missed = (lane) => (lane.right ? `${lane.right.filter(Boolean).length} of ${data.beats.length} beats found, ${lane.right.filter((one) => !one).length} wrong` : "");
    const choice = lanes.length ? el("table", {}, el("thead", {}, el("tr", {}, ["lane", "show", "click", "beats", "F"].map((title, column) => el("th", { scope: "col", class: column % 3 ? null : "text" }, title)))),
      el("tbody", {}, lanes.map((lane) => el("tr", {}, el("th", { scope: "row" }, lane.name),
        el("td", {}, tick("", lane, "shown", fit)), el("td", {}, tick("", lane, "clicks", clicks.silence)),
        el("td", { class: "text" }, lane.right ? missed(lane) : `${lane.beats.length} beats`), el("td", {}, lane === reference ? "" : number(lane.score)))))) : null;
    choice?.querySelectorAll("tbody tr").forEach((row, index) => row.querySelectorAll("input").forEach((box, which) => box.setAttribute("aria-label", `${which ? "Click on the beats of" : "Show"} ${lanes[index].name}`)));
    place.replaceChildren(player.element, canvas, ...(choice ? [el("div", { class: "scroll", role: "region", "aria-label": "Lanes", tabindex: "0" }, choice)] : []));
    let across = 0;
    const resized = new ResizeObserver(() => { if (place.clientWidth !== across) { across = place.clientWidth; fit(); } });
    resized.observe(place);
    document.addEventListener("theme", repaint);
    repaint();
    MOTIONBEAT.playing = { ...player, lanes, end() { player.stop(); resized.disconnect(); document.removeEventListener("theme", repaint); } };
    return MOTIONBEAT.playing;
  };
})();
