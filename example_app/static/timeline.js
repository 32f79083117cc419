// Shows how long the access token is still valid, and what this tab has just done: pages, refreshes
// and calls of the API, with their times. It reads when a token was stored and when it expires, no
// token. What it remembers stays in this tab.

const STEPS = "example-steps";
const LEFT_AT = "example-left-at";
const MAX_STEPS = 40;
const REFRESH = "/auth/session/refresh";
const CALLS = {
  "/auth/signup": "Sign-up call",
  "/auth/signin": "Sign-in call",
  "/auth/signout": "Sign-out call",
  [REFRESH]: "Refresh call",
};
// The pages of flask_ssr_session that a template shows in place of its content.
const REPLACEMENTS = {
  refresh: "Refresh page",
  outage: "Outage page",
  sign_in: "Sign-in is needed",
  repair: "One more step is needed",
};

const now = () => performance.timeOrigin + performance.now();
const clock = (time) => new Date(time).toLocaleTimeString("en-GB");
const preciseClock = (time) => `${clock(time)}.${String(Math.floor(time % 1000)).padStart(3, "0")}`;

function readCookie(name) {
  try {
    const found = document.cookie.split("; ").find((entry) => entry.startsWith(`${name}=`));
    return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
  } catch {
    return ""; // cookies are blocked
  }
}

function load(key, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise; // storage is blocked
  }
}

function save(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // storage is blocked: the timeline begins with this page
  }
}

// --- the steps -----------------------------------------------------------------------------------

let steps = load(STEPS, []);

function add(kind, at, title, text = "") {
  steps = [...steps, { kind, at, title, text }].sort((a, b) => a.at - b.at).slice(-MAX_STEPS);
  save(STEPS, steps);
  draw();
}

function element(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}

function draw() {
  const list = document.querySelector("[data-timeline]");
  list.replaceChildren(
    ...steps.slice(-list.dataset.timeline).map(({ kind, at, title, text }) => {
      const item = document.createElement("li");
      item.className = kind;
      item.append(element("time", preciseClock(at)), element("strong", title), element("span", text));
      return item;
    }),
  );
  list.parentElement.hidden = false;
}

function addPage(source) {
  const replacement = document.querySelector("[data-ssr-session]");
  const kind = replacement?.dataset.ssrSession;
  if (replacement) add(kind === "refresh" ? kind : "problem", now(), REPLACEMENTS[kind] ?? "Other page", source);
  else add("page", now(), document.querySelector("h1").textContent, source);
}

// The whole pages of flask_ssr_session do not have this script, but leave traces. The next page is
// requested before the browser leaves this one; if it was requested later, then by a page in between.
// If the SDK has noted a time meanwhile, and this is not sign-in, that was the refresh page. The SDK
// notes one when it stores a token, and when it removes that of a session that has ended.
function addPageBetween() {
  const requestedAt = performance.timeOrigin;
  const leftAt = load(LEFT_AT, requestedAt);
  if (leftAt >= requestedAt) return;
  const changedAt = Number(readCookie("st-last-access-token-update"));
  const isChanged = changedAt > leftAt && changedAt <= requestedAt;
  if (isChanged && !location.pathname.startsWith("/auth")) {
    add("refresh", leftAt, "Refresh page", `in place of ${location.pathname}`);
  } else {
    add("other", leftAt, "Page in between", "without this timeline");
  }
  if (!isChanged) return;
  if (readCookie("sFrontToken")) add("call", changedAt, "Refresh call", "200, a new token");
  else add("other", changedAt, "Refresh call", "401, the session has ended");
}

// The SDK asks a visitor whom it does not know for a refresh, too, and 401 only means: no session.
function addCall({ name, initiatorType, startTime, duration, responseStatus }) {
  const path = new URL(name).pathname;
  const isRefused = responseStatus === 0 || responseStatus >= 400;
  if (initiatorType !== "fetch" || !(path.startsWith("/auth/") || isRefused)) return;
  const at = performance.timeOrigin + startTime;
  const outcome = `${responseStatus || "no answer"}, ${Math.round(duration)} ms`;
  if (path === REFRESH && responseStatus === 401) add("other", at, CALLS[path], "401, no session");
  else if (path in CALLS) add(isRefused ? "problem" : "call", at, CALLS[path], outcome);
  else add(isRefused ? "problem" : "call", at, "Other call", `${path}, ${outcome}`);
}

const calls = new PerformanceObserver((list) => list.getEntries().forEach(addCall));

addPageBetween();
const { responseStatus } = performance.getEntriesByType("navigation")[0];
addPage(`${location.pathname}, ${responseStatus}`);
calls.observe({ type: "resource", buffered: true });
addEventListener("pagehide", () => {
  // What has no status yet is cut off now, which is no failure.
  calls.takeRecords().filter((call) => call.responseStatus).forEach(addCall);
  showToken();
  save(LEFT_AT, now());
});
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) {
    steps = load(STEPS, steps);
    addPage("from the browser's memory");
  }
});

// --- the token -----------------------------------------------------------------------------------

// Milliseconds since the epoch; NaN without a session.
function tokenExpiry() {
  try {
    return JSON.parse(atob(readCookie("sFrontToken"))).ate;
  } catch {
    return NaN;
  }
}

let expiresAt = tokenExpiry();
let isExpired = expiresAt <= Date.now();

function showToken() {
  if (tokenExpiry() !== expiresAt) {
    expiresAt = tokenExpiry();
    isExpired = false;
  }
  const seconds = Math.max(0, Math.ceil((expiresAt - Date.now()) / 1000));
  if (seconds === 0 && !isExpired) {
    isExpired = true;
    add("other", expiresAt, "Token expired");
  }
  if (Number.isNaN(seconds)) return;
  for (const bar of document.querySelectorAll("[data-token]")) {
    bar.hidden = false;
    bar.value = seconds;
  }
  for (const label of document.querySelectorAll("[data-token-left]")) {
    label.textContent = seconds ? `${seconds} s` : "expired";
  }
  for (const label of document.querySelectorAll("[data-expires]")) {
    const rest = seconds ? `in ${seconds} s` : "has expired: reload the page";
    label.textContent = `${clock(expiresAt)}, ${rest}`;
  }
}

showToken();
setInterval(showToken, 1000);
