/* Dances in 3-D, several in step with one piece of music; and the transport that plays it. */
"use strict";

(() => {
  const { el, number, score, unpacked, colour } = MOTIONBEAT;
  const FADE = 0.15; // s in which the ring of a beat fades to 37 %
  const FOLLOW = 1; // s over which the camera follows a dancer
  const DISTANCE = 4.5; // m from the camera to the dancer
  const MIDDLE = 0.9; // m above the floor at which it looks
  const LIMB = 0.05, HEAD = 0.11, DISC = 0.09, RING = 0.42; // m

  /** A clock with the ways of an audio element, for dances without music. */
  class Silence extends EventTarget {
    constructor(duration) {
      super();
      Object.assign(this, { duration, at: 0, since: null, rate: 1 });
    }
    get paused() { return this.since === null; }
    get currentTime() {
      const time = this.at + (this.paused ? 0 : ((performance.now() - this.since) / 1000) * this.rate);
      return Math.min(time, this.duration);
    }
    set currentTime(time) {
      this.at = Math.max(0, Math.min(time, this.duration));
      if (!this.paused) this.since = performance.now();
      this.dispatchEvent(new Event("seeked"));
    }
    get playbackRate() { return this.rate; }
    set playbackRate(rate) {
      this.at = this.currentTime;
      if (!this.paused) this.since = performance.now();
      this.rate = rate;
    }
    async play() {
      if (this.currentTime >= this.duration) this.at = 0;
      this.since = performance.now();
      this.dispatchEvent(new Event("play"));
    }
    pause() {
      this.at = this.currentTime;
      this.since = null;
      this.dispatchEvent(new Event("pause"));
    }
  }

  /** The bar around a moment: from a downbeat to the next one, or four beats where bars are unknown. */
  function bar(time, { beats, downbeats, duration }) {
    const edges = downbeats.length > 1 ? downbeats : beats.filter((_, place) => place % 4 === 0);
    const next = edges.findIndex((edge) => edge > time + 0.02);
    const first = next < 0 ? edges.length - 1 : next - 1;
    return [edges[first] ?? 0, edges[first + 1] ?? duration];
  }

  /** Play, seek, slow down, loop a bar; draw(time) is called for every frame and after every seek.
   *
   * The music has an address, or lies in the page as base64 with its type.
   */
  MOTIONBEAT.transport = (music, draw) => {
    const { start = 0, duration, beats } = music;
    const end = start + duration;
    const address = music.audio ?? (music.content ? URL.createObjectURL(new Blob([unpacked(music.content, Uint8Array)], { type: music.type })) : null);
    const clock = address ? el("audio", { src: address, preload: "auto" }) : new Silence(duration);
    if (address) clock.preservesPitch = true;
    const time = () => clock.currentTime - (address ? start : 0);
    const seek = (to) => { clock.currentTime = Math.max(0, Math.min(to, duration - 0.01)) + (address ? start : 0); };
    const button = el("button", { type: "button", class: "play", onclick: toggle }, "Play");
    const shown = el("output", {}, "");
    const slider = el("input", { type: "range", min: 0, max: duration, step: 0.01, value: 0, "aria-label": "Position in seconds", oninput: (event) => seek(Number(event.target.value)) });
    const speed = MOTIONBEAT.select("Speed", [["1", "1×"], ["0.5", "½×"], ["0.25", "¼×"]], "1", (value) => { clock.playbackRate = Number(value); });
    const loop = el("button", { type: "button", class: "quiet", "aria-pressed": "false", onclick: () => hold(looped ? null : bar(time(), music)) }, music.downbeats.length > 1 ? "Loop this bar" : "Loop four beats");
    let looped = null, frame = null, drawn = NaN;

    function hold(span) {
      looped = span;
      loop.setAttribute("aria-pressed", String(Boolean(span)));
    }
    function toggle() {
      if (!clock.paused) return clock.pause();
      if (time() >= duration - 0.02) seek(0);
      return clock.play().catch(() => say("the music cannot be played"));
    }
    const say = (text) => { shown.textContent = text; };
    function tick() {
      frame = null;
      const now = time();
      if (looped && (now >= looped[1] || now < looped[0] - 0.05)) seek(looped[0]);
      else if (now >= duration && address && !clock.paused) clock.pause();
      if (now !== drawn) {
        drawn = now;
        draw(Math.max(0, now), !clock.paused);
        if (document.activeElement !== slider || !clock.paused) slider.value = now;
        slider.setAttribute("aria-valuetext", `${number(now, 1)} s`);
        say(`${number(Math.max(0, now), 1)} / ${number(duration, 1)} s`);
      }
      if (!clock.paused && element.isConnected) wake();
    }
    const wake = () => { frame ??= requestAnimationFrame(tick); };
    const again = () => { drawn = NaN; wake(); };
    clock.addEventListener("play", () => { button.textContent = "Pause"; wake(); });
    clock.addEventListener("pause", () => { button.textContent = "Play"; again(); });
    for (const event of ["seeked", "loadeddata"]) clock.addEventListener(event, again);
    clock.addEventListener("error", () => { say("the music is missing or cannot be played"); button.disabled = true; });
    if (address && start) clock.addEventListener("loadedmetadata", () => seek(0));
    const element = el("div", { class: "controls" }, address ? clock : null, button, slider, shown, speed, beats.length ? loop : null);
    again();
    return { element, clock, time, seek, toggle, again, stop: () => clock.pause() };
  };

  /** A dance whose numbers are unpacked: joints in metres, frames a second, contacts of the feet. */
  function read(dance, skeleton) {
    const joints = Float32Array.from(unpacked(dance.positions, Int16Array), (millimetres) => millimetres / 1000);
    const size = skeleton.parents.length * 3;
    const frames = joints.length / size;
    const reach = Math.max(1, Math.round(FOLLOW * dance.fps));
    const targets = new Float32Array(frames * 2);
    for (const axis of [0, 2]) {
      let sum = 0;
      const root = (frame) => joints[Math.min(frames - 1, Math.max(0, frame)) * size + axis];
      for (let frame = -reach; frame <= reach; frame++) sum += root(frame);
      for (let frame = 0; frame < frames; frame++) {
        targets[frame * 2 + axis / 2] = sum / (2 * reach + 1);
        sum += root(frame + reach + 1) - root(frame - reach);
      }
    }
    return { ...dance, joints, frames, size, targets, contacts: dance.contacts ? unpacked(dance.contacts, Uint8Array) : null };
  }

  /** Joints of a dance at a moment, between its frames, and where the camera looks. */
  function pose(dance, time) {
    const place = Math.max(0, Math.min(time * dance.fps, dance.frames - 1));
    const frame = Math.min(Math.floor(place), Math.max(0, dance.frames - 2)), share = place - frame;
    const between = (values, width, index) => {
      const [one, other] = [values[frame * width + index], values[Math.min(frame + 1, dance.frames - 1) * width + index]];
      return one + share * (other - one);
    };
    return {
      joints: Float32Array.from({ length: dance.size }, (_, index) => between(dance.joints, dance.size, index)),
      target: [between(dance.targets, 2, 0), between(dance.targets, 2, 1)],
      contacts: dance.contacts ? dance.contacts[Math.round(place)] : 0,
    };
  }

  /** Show dances to one piece of music; gives what tests and other pages steer them by.
   *
   * data: dances (name, note, fps, positions, contacts, scores), skeleton (parents, feet, sides),
   * beats, downbeats and duration in seconds, and the music as of transport.
   */
  MOTIONBEAT.viewer = (place, data) => {
    const camera = { yaw: 0.44, pitch: 0.2, zoom: 1 };
    const dances = data.dances.map((dance) => read(dance, data.skeleton));
    const { parents, feet, sides } = data.skeleton;
    let inks = {};
    const repaint = () => {
      inks = Object.fromEntries(["ink", "card", "line", "pulse", "left", "right", "muted"].map((name) => [name, colour(name)]));
      player.again();
    };

    const panels = dances.map((dance) => {
      const canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": `${dance.name} dances. Arrow keys turn, plus and minus zoom, space plays.` });
      const scores = Object.entries(dance.scores ?? {}).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, score(value))));
      const figure = el("figure", { class: "dancer" }, canvas, el("figcaption", {}, el("strong", {}, dance.name), dance.note ? ` ${dance.note}` : "", scores.length ? el("dl", {}, scores) : null));
      turnable(canvas);
      return { dance, canvas, figure };
    });

    function draw(time) {
      for (const { dance, canvas } of panels) {
        const width = canvas.width, height = canvas.height, context = canvas.getContext("2d");
        const { joints, target, contacts } = pose(dance, time);
        const [cos, sin, up, down] = [Math.cos(camera.yaw), Math.sin(camera.yaw), Math.cos(camera.pitch), Math.sin(camera.pitch)];
        const focal = 0.43 * height * DISTANCE * camera.zoom;
        const project = (x, y, z) => {
          const [right, level, near] = [(x - target[0]) * cos - (z - target[1]) * sin, y - MIDDLE, (x - target[0]) * sin + (z - target[1]) * cos];
          const depth = level * down + near * up;
          const scale = focal / Math.max(0.5, DISTANCE - depth);
          return { x: width / 2 + right * scale, y: height / 2 - (level * up - near * down) * scale, depth, scale };
        };
        const joint = Array.from(parents, (_, index) => project(joints[3 * index], joints[3 * index + 1], joints[3 * index + 2]));
        const ink = (index) => inks[{ l: "left", r: "right" }[sides[index]] ?? "ink"];
        const circle = (x, z, radius) => {
          context.beginPath();
          for (let step = 0; step <= 36; step++) {
            const at = project(x + radius * Math.cos((step * Math.PI) / 18), 0, z + radius * Math.sin((step * Math.PI) / 18));
            context.lineTo(at.x, at.y);
          }
        };
        const line = (a, b, shade, thick, cap = "round") => {
          context.lineCap = cap;
          context.beginPath();
          context.moveTo(a.x, a.y);
          context.lineTo(b.x, b.y);
          context.strokeStyle = shade;
          context.lineWidth = thick;
          context.stroke();
        };
        context.clearRect(0, 0, width, height);
        const [centre, side] = [target.map((value) => Math.round(value * 2) / 2), 2.5];
        for (let step = -side; step <= side; step += 0.5) {
          line(project(centre[0] + step, 0, centre[1] - side), project(centre[0] + step, 0, centre[1] + side), inks.line, height / 400);
          line(project(centre[0] - side, 0, centre[1] + step), project(centre[0] + side, 0, centre[1] + step), inks.line, height / 400);
        }
        const beat = last(data.beats, time);
        const strength = beat === null ? 0 : Math.exp((beat - time) / FADE);
        if (strength > 0.03) {
          const large = data.downbeats.some((one) => Math.abs(one - beat) < 1e-3) ? 1.45 : 1;
          circle(target[0], target[1], RING * large * (1.25 - 0.25 * strength));
          context.strokeStyle = inks.pulse;
          context.globalAlpha = strength;
          context.lineWidth = 0.07 * strength * focal / DISTANCE;
          context.stroke();
          context.globalAlpha = 1;
        }
        feet.forEach((foot, bit) => {
          if (!(contacts & (1 << bit))) return;
          circle(joints[3 * foot], joints[3 * foot + 2], DISC);
          context.fillStyle = ink(foot);
          context.globalAlpha = 0.55;
          context.fill();
          context.globalAlpha = 1;
        });
        const limbs = parents.map((parent, index) => [parent, index]).filter(([parent]) => parent >= 0);
        limbs.sort(([a, b], [c, d]) => joint[a].depth + joint[b].depth - joint[c].depth - joint[d].depth);
        const top = joint[15];
        const head = () => {
          context.beginPath();
          context.arc(top.x, top.y - 0.06 * top.scale, HEAD * top.scale, 0, 2 * Math.PI);
          context.fillStyle = inks.ink;
          context.fill();
        };
        let headed = false;
        for (const [parent, index] of limbs) {
          if (!headed && (joint[parent].depth + joint[index].depth) / 2 > top.depth) { head(); headed = true; }
          const thick = LIMB * (joint[parent].scale + joint[index].scale) / 2;
          line(joint[parent], joint[index], inks.card, thick * 1.5, "butt"); // an edge that leaves the next limb whole
          line(joint[parent], joint[index], ink(index), thick);
        }
        if (!headed) head();
        if (time > dance.frames / dance.fps + 0.1) {
          context.fillStyle = inks.muted;
          context.font = `${height / 22}px system-ui, sans-serif`;
          context.fillText("the dance has ended", width * 0.04, height * 0.07);
        }
        canvas.dataset.time = time.toFixed(4);
      }
      data.drawn?.(time);
    }
    function last(times, time) {
      let low = 0, high = times.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (times[middle] <= time + 1e-6) low = middle + 1;
        else high = middle;
      }
      return low ? times[low - 1] : null;
    }

    function turnable(canvas) {
      let from = null;
      canvas.addEventListener("pointerdown", (event) => { from = [event.clientX, event.clientY, camera.yaw, camera.pitch]; canvas.setPointerCapture(event.pointerId); });
      canvas.addEventListener("pointermove", (event) => {
        if (from) turn(from[2] - (event.clientX - from[0]) / 120 - camera.yaw, from[3] + (event.clientY - from[1]) / 180 - camera.pitch);
      });
      for (const event of ["pointerup", "pointercancel"]) canvas.addEventListener(event, () => { from = null; });
      canvas.addEventListener("keydown", (event) => {
        const actions = {
          ArrowLeft: () => turn(0.15, 0), ArrowRight: () => turn(-0.15, 0), ArrowUp: () => turn(0, 0.1), ArrowDown: () => turn(0, -0.1),
          "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15), " ": () => player.toggle(),
        };
        if (!(event.key in actions)) return;
        event.preventDefault();
        actions[event.key]();
      });
    }
    function turn(yaw, pitch) {
      camera.yaw += yaw;
      camera.pitch = Math.max(-0.1, Math.min(1.4, camera.pitch + pitch));
      player.again();
    }
    function zoom(factor) {
      camera.zoom = Math.max(0.4, Math.min(3, camera.zoom * factor));
      player.again();
    }

    const player = MOTIONBEAT.transport(data, draw);
    player.element.append(
      el("button", { type: "button", class: "quiet", onclick: () => { Object.assign(camera, { yaw: 0.44, pitch: 0.2, zoom: 1 }); player.again(); } }, "Front"),
      el("button", { type: "button", class: "quiet", "aria-label": "Nearer", onclick: () => zoom(1.25) }, "+"),
      el("button", { type: "button", class: "quiet", "aria-label": "Farther", onclick: () => zoom(0.8) }, "−"));
    place.replaceChildren(player.element, el("div", { class: "dancers" }, panels.map((panel) => panel.figure)));
    const fit = new ResizeObserver((changes) => {
      for (const { target, contentRect } of changes) {
        const side = Math.round(contentRect.width * Math.min(2, devicePixelRatio || 1));
        if (side && target.width !== side) target.width = target.height = side;
      }
      player.again();
    });
    panels.forEach((panel) => fit.observe(panel.canvas));
    document.addEventListener("theme", repaint);
    repaint();
    const seen = { camera, dances, pose, turn, zoom, ...player, end() { player.stop(); fit.disconnect(); document.removeEventListener("theme", repaint); } };
    MOTIONBEAT.shown = seen;
    return seen;
  };
})();
