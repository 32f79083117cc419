// The browser half of flask_ssr_session. Only SuperTokens' own SDK touches tokens; this script
// decides when it is asked and what the visitor sees meanwhile. What it knows comes in data-
// attributes of its own element, validated by the server.
import * as bundledSdk from "supertokens-website";

// Read off the prototype: content named "currentScript" would come first on the document itself.
const { get: currentScript } = Object.getOwnPropertyDescriptor(Document.prototype, "currentScript");
const settings = currentScript.call(document).dataset;

// A page may carry the SDK already; a second copy would only share its state.
const present = window.supertokensWebsite;
const sdk = present && typeof present.init === "function" ? present : bundledSdk;
window.supertokensWebsite = sdk;

const RUNS = Symbol.for("flask-ssr-session-runs");
const MARKER = "ssr-session-refreshed";
// The next page that is refused so soon after a refresh shows that refreshing does not help.
const LAP_MS = 5000;
const SILENT_MS = 10000;
const STILL_HERE_MS = 3000;

function startSdk() {
  const options = {
    apiDomain: settings.apiDomain,
    apiBasePath: settings.apiBasePath,
    sessionExpiredStatusCode: Number(settings.expiredStatus),
  };
  const apiHost = new URL(settings.apiDomain).hostname;
  if (settings.cookieDomain && apiHost !== location.hostname) {
    options.sessionTokenBackendDomain = settings.cookieDomain;
    options.sessionTokenFrontendDomain = settings.cookieDomain;
  }
  sdk.init(options);
}

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
    element.addEventListener("click", run);
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

function noteRefreshed() {
  const marker = JSON.stringify({ at: now(), token: settings.token });
  try {
    sessionStorage.setItem(MARKER, marker);
  } catch {
    // Storage is blocked; the window's name survives a reload, too. Nobody else's is overwritten.
    if (!window.name || window.name.startsWith(MARKER)) window.name = MARKER + marker;
  }
}

function takeMarker() {
  let text = null;
  try {
    text = sessionStorage.getItem(MARKER);
    sessionStorage.removeItem(MARKER);
  } catch {
    // blocked: see noteRefreshed
  }
  if (window.name.startsWith(MARKER)) {
    text = text || window.name.slice(MARKER.length);
    window.name = "";
  }
  try {
    const marker = JSON.parse(text);
    const age = performance.timeOrigin - marker.at;
    return age > -1000 && age < LAP_MS ? marker : null;
  } catch {
    return null; // none, or junk
  }
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

// The SDK notes with Date.now() when it last stored a token; this page was asked for before that.
function wasRefreshedElsewhere() {
  const mark = /(?:^|; )st-last-access-token-update=(\d+)/.exec(document.cookie);
  return mark !== null && Number(mark[1]) > Date.now() - performance.now() && hasCookie("sFrontToken");
}

async function refreshForAllTabs() {
  let started = false;
  try {
    return await navigator.locks.request("flask-ssr-session-refresh", () => {
      started = true;
      return wasRefreshedElsewhere() || refresh();
    });
  } catch (error) {
    if (started) throw error;
    return refresh(); // no Web Locks here: the SDK's own lock has to do
  }
}

function goOn() {
  if (settings.unsafe !== undefined) {
    // A reload would send the form again, by itself and with cookies. The visitor decides.
    show("renewed");
    return;
  }
  noteRefreshed();
  setTimeout(() => show("renewed"), STILL_HERE_MS); // the page was a download, or is slow
  const target = settings.returnTo;
  if (target) {
    location.replace(target.includes("#") ? target : target + location.hash);
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
    location.replace(settings.signIn);
  }
}

async function run() {
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
    alive = await refreshForAllTabs();
  } catch (error) {
    // The SDK rejects with the Response itself; a failed connection is a TypeError.
    if (error instanceof Response) show("problem", "status", String(error.status));
    else show("problem", error instanceof TypeError ? "network" : "answer");
    return;
  } finally {
    clearTimeout(silence);
  }
  if (alive) goOn();
  else signIn();
}

async function whenSeen() {
  const once = (name) => new Promise((done) => document.addEventListener(name, done, { once: true }));
  if (document.prerendering) await once("prerenderingchange");
  while (document.visibilityState === "hidden") await once("visibilitychange");
}

async function main() {
  listen();
  show("working");
  await whenSeen();
  const marker = takeMarker();
  if (marker) show("problem", causeOfLap(marker));
  else await run();
}

if (settings.mode === "session") {
  try {
    startSdk();
  } catch (error) {
    console.warn("flask_ssr_session: the SuperTokens SDK cannot start here.", error);
  }
} else if (!window[RUNS]) {
  window[RUNS] = true;
  main();
}
