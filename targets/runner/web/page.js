"use strict";
const at = (id) => document.getElementById(id);
const number = (value, digits = 0) => value === null || value === undefined ? "–" :
  value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const ms = (summary, rank) => summary ? `${number(summary[rank], summary[rank] < 10 ? 1 : 0)} ms` : "–";
const percent = (share) => `${number(100 * share, 1)} %`;
const lasting = (seconds) => [[86400, "d"], [3600, "h"], [60, "min"]].filter(([unit]) => seconds >= unit)
  .map(([unit, name], index, units) => `${Math.floor(index ? seconds % units[index - 1][0] / unit : seconds / unit)} ${name}`)
  .slice(0, 2).join(" ") || `${number(seconds)} s`;
const total = (counts) => Object.values(counts).reduce((sum, each) => sum + each, 0);
const reasons = (counts) => Object.entries(counts).map(([reason, count]) => `${number(count)} ${reason}`).join(", ");
const words = { starting: "starting", running: "running", no_frames: "no frames", no_result: "no result", stopping: "stopping", ended: "ended" };
const kinds = { running: "good", starting: "warn", stopping: "warn" };
const HEARTBEAT_MS = 500, PATIENCE_MS = 3000;

function text(id, value) { if (at(id).textContent !== value) at(id).textContent = value; }

function state(name, reason) {
  const pill = at("state");
  pill.className = `pill ${kinds[name] || "bad"}`;
  text("state", words[name] || name);
  text("reason", reason);
  const stale = name !== "running";
  document.body.classList.toggle("stale", stale);
  at("banner").hidden = !stale;
  text("banner", stale ? `${(words[name] || name).toUpperCase()}${reason ? ": " + reason : ""}` : "");
}

function classes(set, shares) {
  const list = at("classes");
  if (!set || !shares) { list.replaceChildren(); return; }
  const order = set.names.map((name, label) => ({ name, share: shares[name], colour: set.palette[label] }))
    .filter((each) => each.share > 0).sort((a, b) => b.share - a.share);
  list.replaceChildren(...order.map((each) => {
    const item = document.createElement("li"), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect"), share = document.createElement("b");
    box.setAttribute("width", "100%"); box.setAttribute("height", "100%"); box.setAttribute("rx", "2");
    box.setAttribute("fill", `rgb(${each.colour.join(",")})`);
    svg.append(box);
    share.textContent = percent(each.share);
    item.append(svg, each.name, share);
    return item;
  }));
}

function health(status) {
  const { source, engine, policy, frames, outputs } = status;
  const rows = [
    ["camera", source.connected ? `${source.resolution || "no frame yet"}` : source.trouble, source.connected ? "good" : "bad"],
    ["picture", status.picture.doubt || `${number(total(status.picture.doubtful))} doubtful`, status.picture.doubt ? "bad" : "good"],
    ["camera lost", `${source.losses} times, ${source.resolution_changes} changes of size`, "good"],
    ["engine", engine.failure || `${engine.name}, ${engine.failures} failures, ${engine.restarts} restarts`, engine.failure ? "bad" : "good"],
    ["golden frame", engine.golden === null ? "not tested" : `${percent(engine.golden)} of labels agree`, engine.golden === null ? "warn" : "good"],
    ["frames", `${number(frames.in)} in, ${number(frames.out)} out, ${number(frames.corrupt)} corrupt, ${frames.in_flight} under way`,
      frames.corrupt ? "warn" : "good"],
    ["dropped", reasons(frames.dropped) || "none", "good"],
    ["step", `${policy.step}${policy.reason ? ": " + policy.reason : ""}`, policy.index ? "warn" : "good"],
    ["temperature", status.temperature_c === null ? "no sensor" : `${number(status.temperature_c)} °C`, "good"],
    ["memory", status.resident_bytes === null ? "–" : `${number(status.resident_bytes / 1e6)} MB`, "good"],
    ["running for", lasting(status.uptime_s), "good"],
  ];
  for (const [name, tally] of Object.entries(outputs)) {
    const lost = total(tally.dropped) ? `; not: ${reasons(tally.dropped)}` : "";
    rows.push([name, tally.trouble || `${number(tally.out)} written${lost}`, tally.trouble ? "bad" : "good"]);
  }
  at("health").replaceChildren(...rows.map(([name, value, kind]) => {
    const row = document.createElement("tr"), left = document.createElement("th"), right = document.createElement("td");
    left.scope = "row"; left.textContent = name; right.textContent = value; right.className = kind;
    row.append(left, right);
    return row;
  }));
}

function plot(id, points, column, deadline, now) {
  const canvas = at(id), scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale; canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name);
  const left = 38, bottom = height - 18, right = width - 6;
  const span = 20000, seen = points.filter((point) => now - point[0] <= span);
  const top = nice(Math.max(1, ...seen.map((point) => point[column]), deadline && seen.some((p) => p[column] > deadline / 3) ? deadline : 0));
  const x = (time) => right - Math.max(0, now - time) / span * (right - left), y = (value) => bottom - value / top * (bottom - 8);
  pen.font = "11px system-ui, sans-serif"; pen.textBaseline = "middle";
  pen.strokeStyle = colour("--line"); pen.fillStyle = colour("--soft"); pen.lineWidth = 1;
  for (let line = 0; line <= 4; line++) {
    const value = top * line / 4;
    pen.beginPath(); pen.moveTo(left, y(value)); pen.lineTo(right, y(value)); pen.stroke();
    pen.textAlign = "right"; pen.fillText(number(value, top < 4 ? 2 : 0), left - 5, y(value));
  }
  pen.textAlign = "left"; pen.fillText("−20 s", left, height - 7);
  pen.textAlign = "right"; pen.fillText("now", right, height - 7);
  if (deadline && deadline <= top) {
    pen.strokeStyle = colour("--warn"); pen.setLineDash([5, 4]);
    pen.beginPath(); pen.moveTo(left, y(deadline)); pen.lineTo(right, y(deadline)); pen.stroke(); pen.setLineDash([]);
  }
  pen.strokeStyle = colour("--accent"); pen.lineWidth = 1.4; pen.beginPath();
  seen.forEach((point, index) => {
    const gap = index && point[0] - seen[index - 1][0] > 1000;
    index && !gap ? pen.lineTo(x(point[0]), y(point[column])) : pen.moveTo(x(point[0]), y(point[column]));
  });
  pen.stroke();
  for (const point of seen) { // few points are dots: a line would not show one that stands alone
    const late = column === 1 && point[3];
    pen.fillStyle = colour(late ? "--bad" : "--accent");
    if (late || seen.length < 60) pen.fillRect(x(point[0]) - 1.5, y(point[column]) - 1.5, 3, 3);
  }
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 4, 5, 10].find((step) => step * power >= value);
}

let heard = Date.now(), drawn = null;
function draw() {
  if (!drawn) return;
  const [points, deadline, now] = drawn;
  plot("age", points, 1, deadline, now);
  plot("latency", points, 2, 0, now);
}
window.addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

async function look() {
  try {
    const [status, points] = await Promise.all(["status.json", "history.json"].map((name) => fetch(name, {
      signal: AbortSignal.timeout(PATIENCE_MS) }).then((answer) => { if (!answer.ok) throw new Error(answer.status); return answer.json(); })));
    heard = Date.now();
    state(status.state, status.reason);
    text("about", `${status.engine.artifact || ""} · ${status.engine.name || ""}${status.release ? " · " + status.release.slice(0, 12) : ""}`);
    text("rate", number(status.recent.per_second, 1));
    text("age50", ms(status.recent.age_ms, "p50")); text("age99", ms(status.recent.age_ms, "p99"));
    text("latency50", ms(status.recent.latency_ms, "p50"));
    text("drivable", status.ahead ? percent(status.ahead.drivable) : "–");
    text("free", status.ahead ? percent(status.ahead.free) : "–");
    text("late", `${number(status.late)}`);
    text("dropped", number(total(status.frames.dropped)));
    classes(status.classes, status.shares);
    health(status);
    drawn = [points, status.deadline_ms, status.at_ns / 1e6];
    draw();
  } catch (error) {
    if (Date.now() - heard > PATIENCE_MS) state("runner does not answer", "");
  }
  setTimeout(look, HEARTBEAT_MS);
}
look();

// a stream that broke off does not come back by itself
const image = document.querySelector("#picture img");
image.addEventListener("error", () => setTimeout(() => { image.src = `stream.mjpg?${Date.now()}`; }, 1000));
