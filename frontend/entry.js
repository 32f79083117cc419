// The browser half of flask_ssr_session. Only SuperTokens' own SDK touches tokens; this script
// decides when it is asked and what the visitor sees meanwhile. What it knows comes in data-
// attributes of its own element, validated by the server.
import * as bundledSdk from "supertokens-website";

// Read off the prototype: content named "currentScript" would come first on the document itself.
const { get: currentScript } = Object.getOwnPropertyDescriptor(Document.prototype, "currentScript");
const settings = currentScript.call(document).dataset;

// A page may carry the SDK already; a second copy would only share its state.
const present = window.supertokensWebsite;
const isPresent = present && typeof present.init === "function";
const sdk = isPresent ? present : bundledSdk;
window.supertokensWebsite = sdk;

const RUNS = Symbol.for("flask-ssr-session-runs");
const MARKER = "ssr-session-refreshed";
// The next page that is refused so soon after a refresh shows that refreshing does not help.
const LAP_MS = 5000;
const AT_ONCE_MS = 500;
const SILENT_MS = 10000;
const STILL_HERE_MS = 3000;

// For whoever sets the site up; visitors read the page.
function warn(problem) {
  const api = settings.apiDomain + settings.apiBasePath;
  console.warn(`flask_ssr_session: ${problem}. The refresh API is ${api}/session/refresh.`);
}

function startSdk() {
  // Who started it on this page, with hooks of its own perhaps, knows better.
  if (isPresent && window.__supertokensOriginalFetch) return;
  const options = {
    apiDomain: settings.apiDomain,
    apiBasePath: settings.apiBasePath,
    sessionExpiredStatusCode: Number(settings.expiredStatus),
    preAPIHook: noteLock,
  };
  if (new URL(settings.apiDomain).hostname !== location.hostname) {
    if (settings.cookieDomain) {
      options.sessionTokenBackendDomain = settings.cookieDomain;
      options.sessionTokenFrontendDomain = settings.cookieDomain;
    } else {
      warn(`this page is at ${location.origin}: cookies of the API will not arrive here`);
    }
  }
  sdk.init(options);
}

// The SDK's lock for the refresh outlives a page that is left meanwhile, and would keep the next one
// waiting for five seconds.
const SDK_LOCK = "browser-tabs-lock-key-REFRESH_TOKEN_USE";
let ownLock = null;

function lockHolder() {
  try {
    return JSON.parse(localStorage.getItem(SDK_LOCK)).id;
  } catch {
    return null; // nobody, or storage is blocked
  }
}

// The SDK calls this within its lock.
async function noteLock({ action, url, requestInit }) {
  if (action === "REFRESH_SESSION") ownLock = lockHolder();
  return { url, requestInit };
}

addEventListener("pagehide", () => {
  if (ownLock !== null && lockHolder() === ownLock) localStorage.removeItem(SDK_LOCK);
});

// --- what is on the page -------------------------------------------------------------------------

function show(part, cause, detail) {
  for (const element of document.querySelectorAll("[data-ssr-part]")) {
    element.hidden = element.dataset.ssrPart !== part;
  }
  for (const element of document.querySelectorAll("[data-ssr-cause]")) {
    element.hidden = element.dataset.ssrCause !== cause;
  }
  for (const element of document.querySelectorAll("[data-ssr-detail]")) {
    element.textContent = detail || "";
  }
  const button = document.querySelector(`[data-ssr-part="${part}"] [data-ssr-focus]`);
  if (button) button.focus();
}

function listen() {
  for (const element of document.querySelectorAll("[data-ssr-retry]")) {
    element.addEventListener("click", () => run(true));
  }
  for (const element of document.querySelectorAll("[data-ssr-back]")) {
    element.addEventListener("click", () => history.back());
  }
  // A link to the same page keeps the fragment, which the server never sees.
  for (const element of document.querySelectorAll("[data-ssr-here]")) {
    if (!element.hash) element.hash = location.hash;
  }
  // From the back/forward cache comes an old state of the page: ask what is true now.
  addEventListener("pageshow", (event) => {
    if (event.persisted && settings.unsafe === undefined) location.reload();
  });
}

// --- the loop guard ------------------------------------------------------------------------------

// Both ends are read off the same clock: timeOrigin does not follow later changes of Date.
const now = () => performance.timeOrigin + performance.now();

// Tells whether the next page will be able to know.
function noteRefreshed() {
  const marker = JSON.stringify({ at: now(), token: settings.token });
  try {
    sessionStorage.setItem(MARKER, marker);
    return true;
  } catch {
    // Storage is blocked; the window's name survives a reload, too. Nobody else's is overwritten.
    if (window.name && !window.name.startsWith(MARKER)) return lastStoredAt() > 0;
    window.name = MARKER + marker;
    return true;
  }
}

function takeMarker() {
  let text = null;
  try {
    text = sessionStorage.getItem(MARKER);
    sessionStorage.removeItem(MARKER);
  } catch {
    if (window.name.startsWith(MARKER)) {
      text = window.name.slice(MARKER.length);
      window.name = "";
    }
  }
  try {
    const marker = JSON.parse(text);
    const age = performance.timeOrigin - marker.at;
    return age > -1000 && age < LAP_MS ? marker : null;
  } catch {
    return null; // none, or junk
  }
}

// When the SDK last stored what the API sent, by Date.now(), or 0.
function lastStoredAt() {
  const mark = /(?:^|; )st-last-access-token-update=(\d+)/.exec(document.cookie);
  return mark === null ? 0 : Number(mark[1]);
}

// Markers can be cleared by the page's other scripts. The SDK's own mark says it as well: a token
// was stored just before this page was asked for, and yet the page was refused.
function witness() {
  const age = Date.now() - performance.now() - lastStoredAt();
  return hasCookie("sFrontToken") && age > -2 && age < AT_ONCE_MS ? {} : null;
}

function causeOfLap(marker) {
  if (settings.reason === "duplicate") return "duplicate";
  if (!settings.token) return "absent";
  return settings.token === marker.token ? "unchanged" : "refused";
}

// --- the refresh ---------------------------------------------------------------------------------

function hasCookie(name) {
  return document.cookie.split("; ").some((cookie) => cookie.startsWith(`${name}=`));
}

function removeUpdateMark() {
  const gone = "st-last-access-token-update=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT";
  document.cookie = gone;
  if (settings.cookieDomain) document.cookie = `${gone}; domain=${settings.cookieDomain}`;
}

async function refresh() {
  const looksSignedOut = hasCookie("st-last-access-token-update") && !hasCookie("sFrontToken");
  if (await sdk.attemptRefreshingSession()) return true;
  // The SDK did not even ask, since its cookies say "signed out"; but the server saw a token.
  if (!looksSignedOut || !settings.token) return false;
  removeUpdateMark();
  return sdk.attemptRefreshingSession();
}

// Whether another tab did it since this page was asked for.
function wasRefreshedElsewhere() {
  const stored = lastStoredAt();
  return stored > Date.now() - performance.now() && stored <= Date.now() && hasCookie("sFrontToken");
}

async function refreshForAllTabs(isRetry) {
  let started = false;
  const refreshOnce = () => {
    started = true;
    return (!isRetry && wasRefreshedElsewhere()) || refresh();
  };
  try {
    return await navigator.locks.request("flask-ssr-session-refresh", refreshOnce);
  } catch (error) {
    if (started) throw error;
    return refreshOnce(); // no Web Locks here: the SDK's own lock has to do
  }
}

// The server has validated it; this only makes sure that no other kind of URL can ever run.
function leaveFor(target) {
  const url = new URL(target, location.href);
  if (url.protocol === "https:" || url.protocol === "http:") location.replace(url.href);
}

function goOn() {
  if (settings.unsafe !== undefined) {
    // A reload would send the form again, by itself and with cookies. The visitor decides.
    show("renewed");
    return;
  }
  if (!noteRefreshed()) {
    show("renewed"); // the visitor goes on by a link: without a trace of this, it might never end
    return;
  }
  setTimeout(() => show("renewed"), STILL_HERE_MS); // the page was a download, or is slow
  const target = settings.returnTo;
  if (target) {
    leaveFor(target.includes("#") ? target : target + location.hash);
  } else if (location.href.includes("#")) {
    location.reload(); // to replace a URL by itself with a fragment would not load anything
  } else {
    location.replace(location.href);
  }
}

function signIn() {
  if (settings.optional !== undefined || settings.unsafe !== undefined) {
    show("problem", "ended");
  } else {
    leaveFor(settings.signIn);
  }
}

async function run(isRetry) {
  show("working");
  try {
    startSdk();
  } catch {
    show("problem", "blocked");
    return;
  }
  const silence = setTimeout(() => show("problem", "silent"), SILENT_MS);
  let alive;
  try {
    alive = await refreshForAllTabs(isRetry);
  } catch (error) {
    // The SDK rejects with the Response itself; a failed connection is a TypeError.
    const cause = error instanceof Response ? "status" : error instanceof TypeError ? "network" : "answer";
    warn(`refreshing failed (${cause})`);
    show("problem", cause, error.status);
    return;
  } finally {
    clearTimeout(silence);
  }
  if (alive) goOn();
  else signIn();
}

async function whenSeen() {
  const once = (name) => new Promise((done) => document.addEventListener(name, done, { once: true }));
  if (document.prerendering === true) await once("prerenderingchange");
  while (document.visibilityState === "hidden") await once("visibilitychange");
}

async function main() {
  listen();
  show("working");
  await whenSeen();
  const marker = takeMarker() || witness();
  if (marker) show("problem", causeOfLap(marker));
  else await run(false);
}

// Who the SDK says is signed in, or null; good for comparing only.
function visitor() {
  try {
    return JSON.parse(atob(/(?:^|; )sFrontToken=([^;]*)/.exec(document.cookie)[1])).uid;
  } catch {
    return null;
  }
}

// A page from the back/forward cache shows what was meant for whoever was signed in when it came.
function askAgainWhenRestored() {
  const owner = visitor();
  addEventListener("pageshow", (event) => {
    if (!event.persisted || visitor() === owner) return;
    document.documentElement.hidden = true;
    location.reload();
  });
}

if (settings.mode === "session") {
  askAgainWhenRestored();
  try {
    startSdk();
  } catch (error) {
    warn(`the SuperTokens SDK cannot start here (${error.name})`);
  }
} else if (!window[RUNS]) {
  window[RUNS] = true;
  main();
}
