// Shows the snapshot at /status. What the daemon says enters the page as text only, never as markup.

const EVERY = 2000, PATIENCE = 5000, TOKEN = "penstock-token";
const WORDS = { critical: ["Critical", "bad"], warning: ["Warning", "warn"], notice: ["Notice", ""] };
const STATES = { closed: ["closed", "good"], open: ["open", "bad"], half_open: ["half-open", "warn"], disabled: ["disabled", ""] };
const GOOD = new Set(["closed", "recovered", "reloaded", "enabled", "ready"]);
const BAD = new Set(["open", "failing", "used up", "refused"]);

const $ = (id) => document.getElementById(id);
let paused = false, timer = 0, seen = null, seenAt = 0, problem = "";

// Text

const number = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
const whole = (value) => value.toLocaleString("en");

// Rounded down, as the problems are: what is not whole is not called so.
function percent(part) {
  const decimals = part > 0 && part < 0.1 ? 1 : 0, unit = 10 ** decimals;
  return `${(Math.floor(Number((part * 100 * unit).toFixed(6))) / unit).toFixed(decimals)} %`;
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 1) return `${Number((value * 1e3).toPrecision(value < 0.01 ? 2 : 3))} ms`;
  if (value < 100) return `${value.toFixed(value < 10 ? 2 : 1)} s`;
  return span(value);
}

function span(value) {
  const [d, h, m] = [Math.floor(value / 86400), Math.floor(value / 3600) % 24, Math.floor(value / 60) % 60];
  if (d) return `${d} d ${h} h`;
  if (h) return `${h} h ${m} min`;
  return m ? `${m} min ${Math.floor(value % 60)} s` : `${Math.floor(value)} s`;
}

function dollars(nanousd) {
  const usd = nanousd / 1e9;
  if (usd !== 0 && usd < 0.00995) return `$${Number(usd.toPrecision(2)).toFixed(Math.min(9, 1 - Math.floor(Math.log10(usd))))}`;
  return `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

function bytes(value) {
  const step = value < 1024 ? 0 : Math.min(3, Math.floor(Math.log2(value) / 10));
  return `${number(value / 1024 ** step)} ${["B", "KiB", "MiB", "GiB"][step]}`;
}

// How many there are of each, most first.
const counts = (of) => Object.entries(of).sort(([, one], [, other]) => other - one).map(([name, count]) => `${whole(count)} ${name}`).join(", ");
const words = (cause) => cause.replaceAll("_", " ");
// Whose it is, where that says more than what it is.
const named = ({ what, subject }) => (what === subject ? what : `${what} ${subject}`);
const clock = (unix) => new Date(unix * 1000).toLocaleTimeString([], { hour12: false });

// Nodes are kept and changed only where something changed, so that reading and selecting are not disturbed.

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function mark(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Brings the children of `parent` in line with `items`, keeping the node of each key.
function list(parent, items, keyOf, create, update) {
  const old = new Map(Array.from(parent.children, (node) => [node.dataset.key, node]));
  items.forEach((item, index) => {
    const key = keyOf(item, index);
    let node = old.get(key);
    if (!node) {
      node = create(item);
      node.dataset.key = key;
    }
    old.delete(key);
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
    update(node, item, index);
  });
  for (const node of old.values()) node.remove();
}

// A cell is a text, or {text, under, tag, bar: [part, kind]}.
function cell(node, value) {
  const { text, under = "", tag, bar } = typeof value === "object" ? value : { text: value };
  if (!node.firstChild) node.append(make("span"), make("span", { class: "under" }));
  const [first, second] = node.children;
  say(first, text);
  mark(first, "class", tag === undefined ? "" : `tag ${tag}`);
  say(second, under);
  second.hidden = !under;
  if (bar) measure(node, ...bar);
}

function measure(node, part, kind = "") {
  let bar = node.querySelector(".bar");
  if (!bar) node.append((bar = make("span", { class: "bar", "aria-hidden": "true" }, make("span"))));
  mark(bar, "class", `bar ${kind}`);
  bar.firstChild.style.width = `${Math.min(1, Math.max(0, part)) * 100}%`;
}

// Columns are [title, row → cell, is text]; the first one heads its row. Roles survive the narrow layout.
function table(place, caption, columns, rows, keyOf, empty) {
  if (!place.firstChild) {
    const head = make("tr", { role: "row" });
    for (const [title, , isText] of columns)
      head.append(make("th", { scope: "col", role: "columnheader", ...(isText && { class: "text" }) }, title));
    const body = make("tbody", { role: "rowgroup" });
    const made = make("table", { role: "table", class: "stacked" }, make("caption", {}, caption));
    made.append(make("thead", { role: "rowgroup" }, head), body);
    place.append(made, make("p", { class: "empty" }, empty));
  }
  const [made, nothing] = place.children;
  made.hidden = rows.length === 0;
  nothing.hidden = rows.length > 0;
  list(made.tBodies[0], rows, keyOf, () => make("tr", { role: "row" }), (line, row) => {
    columns.forEach(([title, of, isText], index) => {
      let node = line.children[index];
      if (!node) {
        node = index === 0 ? make("th", { scope: "row", role: "rowheader" }) : make("td", { role: "cell", "data-label": title });
        if (isText) node.classList.add("text");
        line.append(node);
      }
      cell(node, of(row));
    });
  });
}

// Facts are [title, text, aside, part, kind].
function facts(place, items, figure = "") {
  list(place, items, ([title]) => title,
    ([title]) => make("div", {}, make("dt", {}, title), make("dd", {}), make("dd", { class: "aside" })),
    (node, [, text, aside = "", part, kind = ""]) => {
      const [, value, note] = node.children;
      say(value, text);
      mark(value, "class", `${figure} ${kind}`);
      say(note, aside);
      note.hidden = !aside;
      if (part !== undefined) measure(value, part, kind);
    });
}

// Charts: 300 × 100 units, stretched to their place; a title says in words what they show.

const SVG = "http://www.w3.org/2000/svg", WIDE = 300, HIGH = 100, SLOTS = 30;

function chart(place, label) {
  if (place.firstChild) return;
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", label);
  place.append(make("figcaption"), make("div", { class: "plot" }, make("span", { class: "top" })));
  place.append(make("div", { class: "axis", "aria-hidden": "true" }, make("span", {}, "5 min ago"), make("span", {}, "now")));
  place.querySelector(".plot").prepend(drawing);
}

function draw(place, { label, keys, top, paths }) {
  chart(place, label);
  mark(place.querySelector("svg"), "aria-label", label);
  list(place.querySelector("figcaption"), keys, ([, , id]) => id, () => make("span"), (node, [text, kind]) => {
    mark(node, "class", `key ${kind}`);
    say(node, text);
  });
  say(place.querySelector(".top"), top);
  const drawing = place.querySelector("svg");
  paths.forEach(([kind, d], index) => {
    const path = drawing.children[index] ?? drawing.appendChild(document.createElementNS(SVG, "path"));
    mark(path, "class", kind);
    mark(path, "d", d || "M0 0");
  });
}

const slot = (points, index) => ((SLOTS - points.length + index) * WIDE) / SLOTS;

// One path of bars, each standing on `base`.
function bars(points, of, base, top) {
  return points.map((point, index) => {
    const [low, high] = [base(point), base(point) + of(point)].map((value) => HIGH - (HIGH * value) / top);
    return low === high ? "" : `M${slot(points, index) + 1} ${low.toFixed(1)}h8V${high.toFixed(1)}h-8z`;
  }).join("");
}

function line(points, of, top) {
  let pen = "M";
  return points.map((point, index) => {
    const value = of(point);
    if (value === null) return (pen = "M"), "";
    const spot = `${pen}${slot(points, index) + 5} ${(HIGH - (HIGH * value) / top).toFixed(1)}`;
    // A point without neighbours is drawn as a dash.
    const alone = pen === "M" && (points[index + 1] === undefined || of(points[index + 1]) === null);
    pen = "L";
    return alone ? `${spot}h4` : spot;
  }).join("");
}

// A round number that nothing exceeds.
function ceiling(value, least) {
  if (value <= least) return least;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

// The sections, in the order of the page

function showState(it) {
  const worst = it.problems[0]?.severity ?? "none";
  const usable = it.models.filter((model) => model.state === "closed" && model.cooldown === null).length;
  const count = it.problems.length;
  const title = count
    ? `${count} thing${count === 1 ? "" : "s"} to look at`
    : `All is well: ${usable} of ${it.models.length} models usable, nothing denied`;
  mark($("state"), "data-worst", worst);
  say($("state-title"), title);
  list($("problems"), it.problems, (each, index) => `${each.what} ${each.subject} ${index}`,
    () => make("li", {}, make("span"), make("span")),
    (node, each) => {
      const [word, kind] = WORDS[each.severity];
      say(node.children[0], word);
      mark(node.children[0], "class", `tag ${kind}`);
      say(node.children[1], each.text);
    });
  $("problems").hidden = count === 0;
  // Countdowns and counts change all the time: what is spoken is only what there is.
  const names = it.problems.map((each) => `${WORDS[each.severity][0]}: ${named(each)}`);
  say($("spoken"), count ? `${title}. ${names.join(". ")}.` : title);
  document.title = `${count ? `(${count}) ` : ""}Penstock ${it.environment}`;
  paint({ none: "1f9d57", notice: "1f9d57", warning: "d98a00", critical: "d13a32" }[worst]);
}

function paint(color) {
  const drawn = `<svg xmlns="${SVG}" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="#${color}"/></svg>`;
  mark($("icon"), "href", `data:image/svg+xml,${encodeURIComponent(drawn)}`);
}

function showGlance(it) {
  const { last_5m_by_code: codes, last_5m_failed: failed, last_5m_shed: shed } = it.calls;
  const latest = it.traffic.at(-1);
  const ended = Object.values(codes).reduce((sum, count) => sum + count, 0);
  const call = it.durations.call.last_5m, first = it.durations.first_content.last_5m;
  const full = it.calls.in_flight / it.calls.limit;
  facts($("glance"), [
    ["Calls per second", latest ? number(latest.calls / latest.seconds) : "–", `${whole(it.calls.total)} in all`],
    ["Failed, last 5 min", ended ? percent(failed / ended) : "–", `${whole(failed)} of ${whole(ended)}`, undefined,
      failed ? (failed / ended >= 0.05 ? "bad" : "warn") : ""],
    ["Typical call", seconds(call.p50), `99 % within ${seconds(call.p99)}`],
    ["Typical first content", seconds(first.p50), `99 % within ${seconds(first.p99)}`],
    ["In flight", whole(it.calls.in_flight), `of ${whole(it.calls.limit)}${shed ? `, ${whole(shed)} shed in 5 min` : ""}`, full, full >= 1 ? "bad" : full >= 0.8 ? "warn" : ""],
    ["Spend, last 5 min", dollars(it.spend.last_5m_nanousd), `${dollars(it.spend.nanousd)} since the start`],
  ], "figure");
}

function showPool(it) {
  table($("pool"), "The models, and how each one's circuit stands", [
    ["Model", (model) => ({ text: model.name, under: [model.provider, model.upstream].filter(Boolean).join(" · ") })],
    ["State", (model) => {
      const [text, tag] = model.cooldown === null || model.state !== "closed" ? STATES[model.state] : ["cooling down", "warn"];
      const wait = model.next_probe_in;
      const when = wait === null ? "" : `${model.state === "open" ? "probe" : "back"} in ${Math.ceil(wait)} s`;
      return { text, tag, under: [model.cause === "disabled" ? "" : words(model.cause), when].filter(Boolean).join(", ") };
    }, true],
    ["In flight", (model) => {
      const part = model.in_flight / model.max_in_flight;
      return { text: `${model.in_flight} / ${model.max_in_flight}`, bar: [part, part >= 1 ? "bad" : part >= 0.8 ? "warn" : ""] };
    }],
    // What nobody is to blame for opens no circuit, and is no answer either.
    ["Errors", (model) => ({ text: percent(model.error_rate), under: model.blameless ? `${percent(model.blameless)} in vain` : "" })],
    ["First content", (model) => seconds(model.ttft)],
    ["Attempts, 5 min", (model) => ({ text: whole(model.calls_last_5m), under: `${whole(model.calls)} in all` })],
    ["Cost", (model) => dollars(model.cost_nanousd)],
  ], it.models, (model) => model.name, "No models.");
}

function showTraffic(it) {
  const points = it.traffic, latest = points.at(-1) ?? { calls: 0, errors: 0, refused: 0, seconds: 1 };
  const rate = (of) => (point) => of(point) / point.seconds;
  const [fine, refused, failed] = [(p) => p.calls - p.errors - p.refused, (p) => p.refused, (p) => p.errors].map(rate);
  const most = Math.max(0, ...points.map(rate((point) => point.calls)));
  const top = ceiling(most, 1);
  const now = (of) => number(of(latest));
  draw($("traffic"), {
    label: `Calls of the last 5 minutes, per second: now ${now(fine)} answered, ${now(refused)} refused, ${now(failed)} failed; at most ${number(most)}.`,
    keys: [[`${now(fine)}/s answered`, "", "fine"], [`${now(refused)}/s refused`, "warn", "refused"], [`${now(failed)}/s failed`, "bad", "failed"]],
    top: `${number(top)}/s`,
    paths: [
      ["water", bars(points, fine, () => 0, top)],
      ["warn-fill", bars(points, refused, fine, top)],
      ["bad-fill", bars(points, failed, (point) => fine(point) + refused(point), top)],
    ],
  });
  const { by_code: codes, last_5m_by_reason: reasons } = it.calls;
  const ended = Object.keys(codes).length ? `Since the start: ${counts(codes)}.` : "No call has ended yet.";
  say($("codes"), Object.keys(reasons).length ? `Failed in the last 5 minutes: ${counts(reasons)}. ${ended}` : ended);
  table($("tenants"), "Tenants, busiest first", [
    ["Tenant", (tenant) => tenant.tenant],
    ["Calls, 5 min", (tenant) => ({ text: whole(tenant.calls_last_5m), under: `${whole(tenant.calls)} in all` })],
    ["Failed", (tenant) => whole(tenant.errors)],
    ["Denied", (tenant) => whole(tenant.denials)],
    ["Cost", (tenant) => dollars(tenant.cost_nanousd)],
  ], it.tenants, (tenant) => tenant.tenant, "No tenant has called yet.");
}

function showLatency(it) {
  const points = it.traffic, call = it.durations.call;
  const top = ceiling(Math.max(0, ...points.map((point) => point.p99 ?? 0)), 0.01);
  draw($("latency"), {
    label: `Duration of calls in the last 5 minutes: half within ${seconds(call.last_5m.p50)}, 99 % within ${seconds(call.last_5m.p99)}.`,
    keys: [[`${seconds(call.last_5m.p50)} half of all`, "", "p50"], [`${seconds(call.last_5m.p99)} 99 %`, "deep", "p99"]],
    top: seconds(top),
    paths: [["line deep", line(points, (point) => point.p99, top)], ["line", line(points, (point) => point.p50, top)]],
  });
  const rows = [["Whole call", call], ["First content", it.durations.first_content], ["In Penstock itself", it.durations.overhead]];
  const both = (of) => ([, each]) => ({ text: seconds(each.last_5m[of]), under: seconds(each.since_start[of]) });
  table($("durations"), "Of the last 5 minutes; below, since the start", [
    ["Time of", ([name, each]) => ({ text: name, under: `${whole(each.last_5m.count)} of ${whole(each.since_start.count)}` })],
    ["Min", both("min")], ["Avg", both("avg")], ["p50", both("p50")], ["p90", both("p90")], ["p99", both("p99")], ["Max", both("max")],
  ], rows, ([name]) => name, "");
}

function showCache({ cache, idempotency }) {
  const asked = cache.hits + cache.misses;
  const keyed = ["Replayed by key", whole(idempotency.replays), `${whole(idempotency.joins)} joined in flight`];
  facts($("cache"), cache.enabled ? [
    ["Hit rate", asked ? percent(cache.hits / asked) : "–", `${whole(cache.hits)} of ${whole(asked)} lookups`, asked ? cache.hits / asked : 0],
    ["Joined in flight", whole(cache.joins), "shared one upstream call"],
    ["Entries", whole(cache.entries), `of ${whole(cache.max_entries)}, ${whole(cache.evictions)} evicted`, cache.entries / (cache.max_entries || 1)],
    ["Size", bytes(cache.bytes), `of ${bytes(cache.max_bytes)}`, cache.bytes / (cache.max_bytes || 1)],
    keyed,
  ] : [["Cache", "off", "switched off by the configuration"], keyed]);
}

function showLimits(it) {
  table($("limits"), "Limits and budgets that have denied, busiest in the last minute first", [
    ["Rule", (limit) => ({ text: limit.rule, under: limit.shadow ? "a shadow: counts, denies nothing" : "" })],
    ["Tenant", (limit) => ({ text: limit.tenant, under: `per ${limit.per}` }), true],
    ["Last minute", (limit) => (limit.denials_last_minute && !limit.shadow
      ? { text: whole(limit.denials_last_minute), tag: "warn" } : whole(limit.denials_last_minute))],
    ["Denied", (limit) => whole(limit.denials)],
  ], it.limits, (limit) => `${limit.tenant} ${limit.per} ${limit.rule} ${limit.shadow}`, "Nothing has been denied since the start.");
}

function showSpend(it) {
  const points = it.traffic, rate = (point) => (point.cost_nanousd / point.seconds) * 3600;
  const most = Math.max(0, ...points.map(rate)), top = ceiling(most / 1e9, 0.01) * 1e9;
  const latest = points.length ? rate(points.at(-1)) : 0;
  const wasted = it.spend.nanousd ? it.spend.wasted_nanousd / it.spend.nanousd : 0;
  draw($("spend"), {
    label: `Spend of the last 5 minutes, per hour: now ${dollars(latest)}, at most ${dollars(most)}.`,
    keys: [[`${dollars(latest)} per hour now`, "", "now"], [`${dollars(it.spend.wasted_nanousd)} wasted since the start, ${percent(wasted)}`, "deep", "wasted"]],
    top: `${dollars(top)}/h`,
    paths: [["water", bars(points, rate, () => 0, top)]],
  });
  const kind = (budget) => (budget.shadow ? "" : budget.fraction >= 0.99 ? "bad" : budget.fraction >= 0.8 ? "warn" : "");
  table($("budgets"), "Budgets of whole tenants, fullest first", [
    ["Tenant", (budget) => ({ text: budget.tenant, under: budget.shadow ? `${budget.rule}, a shadow` : budget.rule })],
    ["Used", (budget) => ({ text: percent(budget.fraction), bar: [budget.fraction, kind(budget)] })],
    ["Spent", (budget) => dollars(budget.spent_nanousd)],
    ["Held", (budget) => dollars(budget.held_nanousd)],
    ["Resets", (budget) => (budget.resets_at ? `in ${span(budget.resets_at - it.at)}` : "never")],
  ], it.budgets, (budget) => `${budget.tenant} ${budget.rule} ${budget.shadow}`, "No tenant has a budget.");
}

function showChanges({ changes }) {
  const rows = changes.length ? changes : [{ at: 0, what: "", subject: "Nothing has changed since the start.", state: "", count: 1 }];
  list($("changes"), rows, (each) => `${each.at} ${each.what} ${each.subject} ${each.state}`,
    () => make("li", {}, make("time"), make("span", {}, make("span"), make("span", { class: "under" })), make("span")),
    (node, { at, what, subject, state, cause, count }) => {
      const [time, [text, under], tag] = [node.children[0], node.children[1].children, node.children[2]];
      say(time, at ? clock(at) : "");
      if (at) mark(time, "datetime", new Date(at * 1000).toISOString());
      say(text, subject);
      say(under, [what === subject ? "" : what, words(cause ?? ""), count > 1 ? `${count} times` : ""].filter(Boolean).join(" · "));
      say(tag, state.replace("_", "-"));
      mark(tag, "class", state ? `tag ${GOOD.has(state) ? "good" : BAD.has(state) ? "bad" : "warn"}` : "");
    });
  // What scrolls can be reached by keyboard.
  const scrolls = $("changes").scrollHeight > $("changes").clientHeight;
  scrolls ? mark($("changes"), "tabindex", "0") : $("changes").removeAttribute("tabindex");
}

function showEngine(it) {
  const { logs, spans, metrics } = it.telemetry_dropped, lag = it.loop_lag.last_5m, commit = it.ledger.commit.last_5m;
  const expires = it.certificate_expires_at, left = expires - it.at;
  facts($("engine"), [
    ["Ready", it.ready.ok ? "yes" : "no", it.ready.reasons.join(", ")],
    ["Ledger", it.ledger.failing ? "failing" : "writing", it.ledger.fault || `${whole(it.ledger.waiting)} rows waiting`],
    ["Ledger commit", seconds(commit.p50), `99 % within ${seconds(commit.p99)}`],
    ["Event loop late by", seconds(lag.p50), `99 % within ${seconds(lag.p99)}`],
    ["Telemetry dropped", whole(logs + spans + metrics), `${whole(logs)} log lines, ${whole(spans)} spans, ${whole(metrics)} metric exports`],
    ...(expires === null ? [] : [["Certificate", left > 0 ? `${span(left)} left` : "expired", `until ${new Date(expires * 1000).toLocaleString([], { hour12: false })}`]]),
  ]);
}

function show(it) {
  $("door").hidden = true;
  $("board").hidden = false;
  say($("daemon"), `${it.environment} · version ${it.version} · up ${span(it.uptime_seconds)}`);
  [showState, showGlance, showPool, showTraffic, showLatency, showCache, showLimits, showSpend, showChanges, showEngine]
    .forEach((part) => part(it));
}

// The connection

function link(state, text) {
  mark($("link"), "data-state", state);
  mark(document.body, "data-link", state);
  say($("link-text"), text);
}

function lost(why) {
  link("lost", seen ? `Disconnected, as of ${clock(seenAt / 1000)}` : "Disconnected");
  problem = why;
  $("board").hidden = false;
  mark($("state"), "data-worst", "lost");
  const age = seen ? ` What is below is ${span((Date.now() - seenAt) / 1000)} old.` : "";
  say($("state-title"), `The daemon does not answer: ${why}.${age}`);
  $("problems").hidden = true;
  for (const part of document.querySelectorAll(".grid, #glance")) part.hidden = !seen;
  say($("spoken"), "Disconnected: the daemon does not answer.");
  document.title = "(!) Penstock";
  paint("d13a32");
}

function knock(message) {
  link("waiting", "Locked");
  clearTimeout(timer);
  $("board").hidden = true;
  $("forget").hidden = true;
  if ($("door").hidden) $("token").value = "";
  $("door").hidden = false;
  say($("door-error"), message);
  $("token").focus();
}

async function look() {
  clearTimeout(timer);
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  try {
    const response = await fetch("status", { headers, cache: "no-store", credentials: "omit", redirect: "error", signal: AbortSignal.timeout(PATIENCE) });
    if (response.status === 401) {
      sessionStorage.removeItem(TOKEN);
      return knock(token ? "That token was not accepted." : "");
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    seen = await response.json();
    seenAt = Date.now();
    if (!paused) link("live", "Live");
    for (const part of document.querySelectorAll(".grid, #glance")) part.hidden = false;
    $("forget").hidden = !token;
    show(seen);
  } catch (error) {
    lost(error.name === "TimeoutError" ? `nothing for ${PATIENCE / 1000} s` : error.name === "TypeError" ? "nobody is there" : error.message);
  }
  if (!paused && !document.hidden) timer = setTimeout(look, EVERY);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  clearTimeout(timer);
  mark($("pause"), "aria-pressed", String(paused));
  if (paused) return link("waiting", `Paused at ${clock(seenAt / 1000)}`);
  look();
});

$("forget").addEventListener("click", () => {
  sessionStorage.removeItem(TOKEN);
  knock("");
});

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $("token").value.trim());
  $("token").value = "";
  look();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !paused && $("door").hidden) look();
});

look();
