// The page is a client of the API like any other: it reads, and the stream only says when to read again.

const BASE = "/api/v1";
const KEPT = "spotd.token";
const RETRY_MS = 3000;
const QUIET_MS = 400;
const byId = (id) => document.getElementById(id);

class Refused extends Error {}

const token = () => sessionStorage.getItem(KEPT);

async function ask(path, options = {}) {
  const headers = { Authorization: `Bearer ${token()}`, ...options.headers };
  const answer = await fetch(BASE + path, { ...options, headers });
  if (answer.status === 401 || answer.status === 403) throw new Refused((await answer.json()).detail);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer;
}

const read = async (path) => (await ask(path)).json();

function node(tag, text, className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

const money = (micros) =>
  micros === null ? "not known" : (micros / 1e6).toLocaleString(undefined, { style: "currency", currency: "USD" });

function age(entry) {
  if (!entry) return "";
  if (entry.age_seconds === null) return entry.reason ?? "";
  const seconds = Math.round(entry.age_seconds);
  return seconds < 120 ? `${seconds} s old` : `${Math.round(seconds / 60)} min old`;
}

function card(title, value, note) {
  const made = document.createElement("div");
  made.append(node("dt", title), node("dd", value), node("dd", note));
  return made;
}

function row(...cells) {
  const made = document.createElement("tr");
  for (const cell of cells) made.append(cell instanceof Node ? cell : node("td", cell));
  return made;
}

function empty(columns, text) {
  const cell = node("td", text, "empty");
  cell.colSpan = columns;
  return row(cell);
}

function showOverview(overview) {
  const { counts, ages } = overview;
  const states = Object.entries(counts.by_state).map(([state, count]) => `${count} ${state}`).join(", ");
  const cpu = overview.cpu_percent === null ? "not known" : `${overview.cpu_percent.toFixed(1)} %`;
  byId("overview").replaceChildren(
    card("Accounts", String(counts.accounts), age(ages.accounts)),
    card("Instances", String(counts.instances), states),
    card("Cost an hour", money(overview.cost_micros_per_hour), age(ages.cost_micros_per_hour)),
    card("Cost a month", money(overview.cost_micros_per_month), age(ages.cost_micros_per_month)),
    card("CPU", cpu, age(ages.cpu_percent)),
  );
}

const MARKS = { healthy: "✓", degraded: "!", critical: "✕" };

function showHealth(health) {
  const parts = Object.entries(health.components).map(([name, part]) => {
    const status = part.enabled ? part.status : "off";
    return node("li", `${MARKS[status] ?? "–"} ${name}: ${status}`, status);
  });
  byId("health").replaceChildren(...parts);
}

function showAccounts(accounts) {
  const rows = accounts.items.map((account) =>
    row(
      account.account_id,
      account.name,
      node("td", account.status, account.status),
      account.connection_method ?? "none yet",
      account.metadata.error ? String(account.metadata.error) : account.conditions.filter((c) => !c.status).map((c) => c.type).join(", "),
    ),
  );
  byId("accounts").replaceChildren(...(rows.length ? rows : [empty(5, "No account yet: spotd accounts add")]));
}

function place(placement) {
  const cell = node("td", placement ? `${placement.instance_type} ${placement.lifecycle}` : "stay", "whole");
  if (placement?.availability_zone) cell.append(node("small", placement.availability_zone));
  return cell;
}

const SAID = {
  saving_percent: (value) => `${value}\u00a0% cheaper`,
  interruption_band: (value, limit) => `interruption band ${value}\u00a0of\u00a0${limit}`,
  worthwhile_pools: (value) => `${value}\u00a0pools`,
  cpu_percent: (value) => `CPU\u00a0${value}\u00a0%`,
};

const why = (reasons) =>
  reasons.filter(({ rule }) => rule in SAID).map(({ rule, value, threshold }) => SAID[rule](value, threshold)).join(" · ");

function showAdvice(advice) {
  const rows = advice.items.map((item) =>
    row(
      node("td", item.instance_ids.join(", "), "whole"),
      place(item.from),
      place(item.to),
      node("td", money(item.saving_micros_per_month), "number"),
      why(item.reasons),
    ),
  );
  byId("advice").replaceChildren(...(rows.length ? rows : [empty(5, "None yet; the optimizer runs every few minutes.")]));
}

const PARTS = [
  ["/overview", showOverview],
  ["/health", showHealth],
  ["/accounts?limit=1000", showAccounts],
  ["/recommendations?verdict=recommended&state=open&limit=50", showAdvice],
];

async function show() {
  await Promise.all(PARTS.map(async ([path, draw]) => draw(await read(path))));
}

let planned = 0;
let visit = new AbortController();

function showSoon() {
  clearTimeout(planned);
  planned = setTimeout(() => show().catch(stumble), QUIET_MS);
}

async function follow() {
  const answer = await ask("/stream", { headers: { Accept: "text/event-stream" }, signal: visit.signal });
  live(true);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    if (lines.includes("event: changed") || lines.includes("event: gap")) showSoon();
  }
}

function live(on) {
  byId("live").classList.toggle("on", on);
  const seen = !byId("content").hidden;
  byId("live").textContent = on ? "live" : seen ? "not connected: what you see may be old" : "not connected";
}

function stumble(error) {
  if (error instanceof Refused) leave(error.message);
  live(false);
}

function leave(reason = "") {
  sessionStorage.removeItem(KEPT);
  clearTimeout(planned);
  visit.abort();
  byId("problem").textContent = reason;
  frame();
}

function frame() {
  const known = token() !== null;
  byId("enter").hidden = known;
  byId("content").hidden = byId("leave").hidden = !known;
  if (!known) byId("token").focus();
}

async function run() {
  frame();
  visit = new AbortController();
  const { signal } = visit;
  while (token() !== null && !signal.aborted) {
    try {
      await show();
      await follow();
    } catch (error) {
      stumble(error);
    }
    live(false);
    await new Promise((resume) => setTimeout(resume, RETRY_MS));
  }
}

// A link may carry the token as #token=…: a fragment is never sent to a server, and leaves the address bar at once.
function takeFromLink() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return false;
  history.replaceState(null, "", location.pathname);
  sessionStorage.setItem(KEPT, given.trim());
  return true;
}

addEventListener("hashchange", () => {
  if (!takeFromLink()) return;
  visit.abort();
  run();
});
byId("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEPT, byId("token").value.trim());
  byId("token").value = byId("problem").textContent = "";
  run();
});
byId("leave").addEventListener("click", () => leave());
takeFromLink();
run();
