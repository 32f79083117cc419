// The browser half of flask_ssr_session. Only SuperTokens' own SDK touches tokens; this script
// decides when it is asked and what the visitor sees meanwhile. What it knows comes in data-
// attributes of its own element, validated by the server.
import * as bundledSdk from "supertokens-website";
import tabsLock from "browser-tabs-lock";

// Read off the prototype: content named "currentScript" would come first on the document itself.
const { get: currentScript } = Object.getOwnPropertyDescriptor(Document.prototype, "currentScript");
const settings = currentScript.call(document).dataset;

// A page may carry the SDK already; a second copy would only share its state.
const present = window.supertokensWebsite;
const isPresent = present && typeof present.init === "function";
const sdk = isPresent ? present : bundledSdk;
window.supertokensWebsite = sdk;

// Content may be named like the SDK's own mark, which would tell it that it has been started.
if (!Object.prototype.hasOwnProperty.call(window, "__supertokensOriginalFetch")) {
  window.__supertokensOriginalFetch = undefined;
}

// Off the prototype, as above.
const all = (selector) => Document.prototype.querySelectorAll.call(document, selector);

const RUNS = Symbol.for("flask-ssr-session-runs");
const MARKER = "ssr-session-refreshed";
// The next page that is refused so soon after a refresh shows that refreshing does not help.
const LOOP_WINDOW_MS = 5000;
const AT_ONCE_MS = 500;
// The two clocks of a browser are rounded, and some milliseconds apart: a token stored just before a
// page was asked for must not look like one stored after.
const CLOCKS_MS = 20;
const SILENT_MS = 10000;
const STILL_HERE_MS = 3000;
// An upload takes its time, and the token has to last until it has arrived.
const SOON_MS = 2000;
// Servers answer a longer one with 414, as gunicorn does; to the server it is MAX_LOCATION_CHARS.
const LONGEST_ADDRESS = 4000;

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
    preAPIHook: makeAbortable,
    lockFactory: makeLock,
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
const ownLocks = new Set();
let holdsWebLock = false; // of our pages, this one alone is refreshing

// The SDK's own kind of lock, without the parts of its wait that only keep two pages from starting
// at one moment, where Web Locks see to that. The last part stays: other users of the SDK write
// within 24 ms of looking, and whoever was overwritten in these 30 ms has lost.
class OwnLock extends tabsLock.default {
  async acquireLock(key, timeout) {
    if (holdsWebLock && localStorage.getItem(SDK_LOCK) === null) {
      const at = Date.now();
      const iat = String(at);
      const mark = { id: this.id, iat, timeAcquired: at, timeRefreshed: at };
      localStorage.setItem(SDK_LOCK, JSON.stringify(mark));
      await new Promise((done) => setTimeout(done, 30));
      if (lockHolder() === this.id) {
        this.acquiredIatSet.add(iat);
        this.refreshLockWhileAcquired(SDK_LOCK, iat);
        return true;
      }
    }
    return super.acquireLock(key, timeout);
  }
}

// Known to us before it is written anywhere.
async function makeLock() {
  const lock = new OwnLock();
  ownLocks.add(lock.id);
  return lock;
}

function lockHolder() {
  try {
    return JSON.parse(localStorage.getItem(SDK_LOCK)).id;
  } catch {
    return null; // nobody, or storage is blocked
  }
}

// Junk, or a lock of a clock that was ahead, would never be given up.
function dropBrokenLock() {
  try {
    const { timeRefreshed } = JSON.parse(localStorage.getItem(SDK_LOCK));
    if (timeRefreshed <= Date.now()) return;
  } catch {
    // none, junk, or storage is blocked
  }
  try {
    localStorage.removeItem(SDK_LOCK);
  } catch {
    // storage is blocked
  }
}

addEventListener("pagehide", () => {
  if (ownLocks.has(lockHolder())) localStorage.removeItem(SDK_LOCK);
});

// A new attempt ends the one before, which may hang for minutes and hold both locks.
let attempt = new AbortController();

// While it signs out, the SDK may refresh once more. Where the API never accepts the token that its own
// refresh brings, the SDK would go on and on.
let refreshesLeft = Infinity;

async function makeAbortable({ action, url, requestInit }) {
  if (action !== "REFRESH_SESSION" && action !== "SIGN_OUT") return { url, requestInit };
  if (action === "REFRESH_SESSION" && refreshesLeft-- <= 0) throw new Error("refreshed before");
  return { url, requestInit: { ...requestInit, signal: attempt.signal } };
}

// --- what is on the page -------------------------------------------------------------------------

function show(part, cause, detail) {
  for (const element of all("[data-ssr-part]")) {
    element.hidden = element.dataset.ssrPart !== part;
  }
  for (const element of all("[data-ssr-cause]")) {
    element.hidden = element.dataset.ssrCause !== cause;
  }
  for (const element of all("[data-ssr-detail]")) {
    element.textContent = detail || "";
  }
  // In a whole page of ours the title goes along.
  const [heading] = all(`[data-ssr-part="${part}"] .ssr-session-title`);
  if (heading && all("title[data-ssr-title]").length) document.title = heading.textContent;
  const [button] = all(`[data-ssr-part="${part}"] [data-ssr-focus]`);
  if (button) button.focus();
}

function listen() {
  for (const element of all("[data-ssr-retry]")) {
    element.addEventListener("click", () => run(true));
  }
  for (const element of all("[data-ssr-back]")) {
    element.addEventListener("click", () => history.back());
  }
  // A link to the same page keeps the fragment, which the server never sees.
  for (const element of all("[data-ssr-here]")) {
    if (!element.hash) element.hash = location.hash;
  }
  for (const element of all("[data-ssr-sign-in]")) {
    element.href = withFragment(attribute(element, "href"));
  }
  // Whoever has signed in since the page came must not send what somebody else has typed.
  addEventListener("submit", (event) => {
    if (attribute(event.target, "data-ssr-owner") === null || isOwner(event.target)) return;
    event.preventDefault();
    show("other_owner");
  }, true);
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
    sessionStorage.setItem(MARKER, MARKER.repeat(4)); // a full storage is as good as a blocked one
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
    return age > -1000 && age < LOOP_WINDOW_MS ? marker : null;
  } catch {
    return null; // none, or junk
  }
}

// In a sandboxed frame even reading is an error; the SDK then fails to start, and that is named.
function readableCookies() {
  try {
    return document.cookie;
  } catch {
    return "";
  }
}

// When the SDK last stored what the API sent, by Date.now(), or 0.
function lastStoredAt() {
  const mark = /(?:^|; )st-last-access-token-update=(\d+)/.exec(readableCookies());
  return mark === null ? 0 : Number(mark[1]);
}

// Markers can be cleared by the page's other scripts. The SDK's own mark says it as well: a token
// was stored just before this page was asked for, and yet the page was refused.
function sdkMarker() {
  const age = Date.now() - performance.now() - lastStoredAt();
  return hasCookie("sFrontToken") && age > -2 && age < AT_ONCE_MS ? {} : null;
}

// What the server says goes before what the tokens look like from here.
function loopCause(marker) {
  if (settings.reason === "duplicate" || settings.duplicates !== undefined) return "duplicate";
  if (!settings.token) return "absent";
  return settings.token === marker.token ? "unchanged" : "refused";
}

// For whoever sets the site up; visitors are told what they can do themselves.
const CAUSES = {
  absent: "the token that the refresh API has stored did not come back: the cookie domain is wrong or missing, cookies are Secure on plain http or blocked, or something on the way takes Set-Cookie or Cookie away",
  unchanged: "the token that was refused came back: the refresh API sets its cookie for another domain or path, Set-Cookie got lost on the way, or a cache or service worker keeps an old page",
  duplicate: "several sAccessToken cookies came: where the cookie domain was changed, set older_cookie_domain where the API is",
  refused: "the new token was refused, too: most likely the signing keys are those of another core, or a clock is wrong; the log of flask_ssr_session says which",
};

// --- the refresh ---------------------------------------------------------------------------------

function hasCookie(name) {
  return readableCookies().split("; ").some((cookie) => cookie.startsWith(`${name}=`));
}

// What the SDK says of the session, good for comparing only; empty where it says nothing.
function frontToken() {
  try {
    const encoded = atob(/(?:^|; )sFrontToken=([^;]*)/.exec(document.cookie)[1]);
    const bytes = Uint8Array.from(encoded, (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

// Whether the form was typed by whoever is signed in now. Its mark is what form_owner() in forms.py
// makes of a user id: FNV-1a over UTF-8. It tells users of this browser apart, and proves nothing.
function isOwner(form) {
  const { uid } = frontToken();
  if (typeof uid !== "string" || !uid) return false;
  let mark = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(uid)) mark = Math.imul(mark ^ byte, 0x01000193);
  return attribute(form, "data-ssr-owner") === (mark >>> 0).toString(16).padStart(8, "0");
}

function removeUpdateMark() {
  const gone = "st-last-access-token-update=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT";
  document.cookie = gone;
  if (settings.cookieDomain) document.cookie = `${gone}; domain=${settings.cookieDomain}`;
}

// The API's first answer to several session cookies only deletes the older ones, without a token.
async function attemptRefresh() {
  dropBrokenLock();
  try {
    return await sdk.attemptRefreshingSession();
  } catch (error) {
    if (settings.duplicates === undefined || causeOf(error) !== "answer") throw error;
    return sdk.attemptRefreshingSession();
  }
}

async function refresh() {
  const looksSignedOut = hasCookie("st-last-access-token-update") && !hasCookie("sFrontToken");
  if (await attemptRefresh()) return true;
  // The SDK did not even ask, since its cookies say "signed out"; but the server saw a token.
  if (!looksSignedOut || !settings.token) return false;
  removeUpdateMark();
  return attemptRefresh();
}

// Whether another tab did it since this page was asked for, and the token it got is still good: told
// by how long tokens live, which is right whatever the clock here says.
function wasRefreshedElsewhere(marginMs = 0) {
  const age = Date.now() - lastStoredAt();
  const { ate, up } = frontToken();
  return age >= 0 && age < performance.now() - marginMs && age < ate - up?.iat * 1000;
}

async function refreshForAllTabs(isDone, { signal }) {
  let started = false;
  const refreshOnce = async (webLock) => {
    started = true;
    holdsWebLock = Boolean(webLock);
    try {
      return isDone() || (await refresh());
    } finally {
      holdsWebLock = false;
    }
  };
  try {
    return await navigator.locks.request("flask-ssr-session-refresh", { signal }, refreshOnce);
  } catch (error) {
    if (started || signal.aborted) throw error;
    return refreshOnce(); // no Web Locks here: the SDK's own lock has to do
  }
}

// The server has validated it; this only makes sure that no other kind of URL can ever run.
function navigateTo(target) {
  const url = new URL(target, location.href);
  if (url.protocol === "https:" || url.protocol === "http:") location.replace(url.href);
}

function continueToPage() {
  if (settings.unsafe !== undefined) {
    // A reload would send the form again, by itself and with cookies. The visitor decides.
    show([...all("[data-ssr-owner]")].every(isOwner) ? "renewed" : "other_owner");
    return;
  }
  if (!noteRefreshed()) {
    show("renewed"); // the visitor goes on by a link: without a trace of this, it might never end
    return;
  }
  setTimeout(() => show("renewed"), STILL_HERE_MS); // the page was a download, or is slow
  const target = settings.returnTo;
  if (target) {
    navigateTo(target.includes("#") ? target : target + location.hash);
  } else if (location.href.includes("#")) {
    location.reload(); // to replace a URL by itself with a fragment would not load anything
  } else {
    location.replace(location.href);
  }
}

// Add the fragment of the page that was asked for to the way back: no server ever sees it.
function withFragment(address) {
  const [head, ...rest] = address.split("#");
  // The server adds the way back behind everything else.
  const last = head.slice(Math.max(head.lastIndexOf("?"), head.lastIndexOf("&")) + 1);
  const [name, back] = [...new URLSearchParams(last)][0] ?? [];
  if (!location.hash || name !== settings.returnParam || back.includes("#")) return address;
  const longer = [head + encodeURIComponent(location.hash), ...rest].join("#");
  return longer.length > LONGEST_ADDRESS ? address : longer;
}

function signIn() {
  if (settings.optional !== undefined || settings.unsafe !== undefined) {
    show("problem", "ended");
  } else {
    navigateTo(withFragment(settings.signIn));
  }
}

// End a session that the site calls revoked. If the API still renews it, the page would refresh, go to
// sign-in, be sent back from there as signed in, and so on for ever.
async function signOut() {
  refreshesLeft = 1;
  try {
    await sdk.signOut();
  } finally {
    refreshesLeft = Infinity;
  }
  if (hasCookie("sFrontToken")) throw new Error("the session is still there");
}

// The SDK rejects with the Response itself; a failed connection is a TypeError, blocked storage a
// DOMException.
function causeOf(error) {
  if (error instanceof Response) return settings.duplicates === undefined ? "status" : "duplicate";
  if (error instanceof TypeError) return "network";
  // A front token that is no base64 is a DOMException, too.
  const isBlocked = error instanceof DOMException && error.name !== "InvalidCharacterError";
  return isBlocked ? "blocked" : "answer";
}

// Start the SDK, let it do its work, and where that fails, say why.
async function attend(what, work) {
  attempt.abort();
  const { signal } = (attempt = new AbortController());
  show("working");
  try {
    startSdk();
  } catch {
    show("problem", "blocked");
    return;
  }
  const silence = setTimeout(() => show("problem", "silent"), SILENT_MS);
  try {
    await work();
  } catch (error) {
    if (signal.aborted) return; // the next attempt has the page
    const cause = causeOf(error);
    warn(`${what} failed (${cause})`);
    show("problem", cause, error.status);
  } finally {
    clearTimeout(silence);
  }
}

function run(isRetry) {
  return attend("refreshing", async () => {
    const isDone = () => !isRetry && wasRefreshedElsewhere();
    if (await refreshForAllTabs(isDone, attempt)) continueToPage();
    else signIn();
  });
}

async function whenVisible() {
  const once = (name) => new Promise((done) => document.addEventListener(name, done, { once: true }));
  if (document.prerendering === true) await once("prerenderingchange");
  while (document.visibilityState === "hidden") await once("visibilitychange");
}

async function main() {
  listen();
  show("working");
  await whenVisible();
  const isRefused = settings.reason !== "active"; // else this is /refresh-session, asked for by hand
  const marker = takeMarker() || (isRefused && sdkMarker());
  // A form is one step back, on a page that the browser asks for anew once the session's cookies
  // change: so the answer to a form signs nobody out, and as it never reloads, it cannot go round.
  const staysHere = settings.reason === "revoked" && settings.unsafe !== undefined;
  // A token stored since this page was asked for says nothing against it: try the new one first.
  if (!marker || staysHere || wasRefreshedElsewhere(CLOCKS_MS)) {
    await run(false);
  } else if (settings.reason === "revoked") {
    await attend("signing out of a revoked session", async () => {
      await signOut();
      signIn();
    });
  } else if (isRefused) {
    const cause = loopCause(marker);
    warn(`${CAUSES[cause]} (refused as "${settings.reason}")`);
    show("problem", cause);
  } else {
    show("renewed");
  }
}

// --- ordinary pages ------------------------------------------------------------------------------

function hasRunOut() {
  let clockSkew = 0;
  try {
    clockSkew = Number(localStorage.getItem("__st_clockSkewInMillis")); // the SDK measures it
  } catch {
    // storage is blocked
  }
  return frontToken().ate <= Date.now() + clockSkew + SOON_MS;
}

// Off the prototypes, as above: a field may be named like any of these.
const attribute = (element, name) => Element.prototype.getAttribute.call(element, name);
const create = (tag) => Document.prototype.createElement.call(document, tag);

// What the pressed button says goes before what its form says.
function effectiveAttribute(name, form, button) {
  return (button && attribute(button, `form${name}`)) ?? attribute(form, name);
}

// Whether the browser would now post the form to this site.
function isOurPost(form, button) {
  // Where an image was pressed, only the browser itself can send.
  if (button && attribute(button, "type")?.toLowerCase() === "image") return false;
  if (effectiveAttribute("method", form, button)?.toLowerCase() !== "post") return false;
  const target = new URL(effectiveAttribute("action", form, button) || location.href, document.baseURI);
  return target.origin === location.origin;
}

// Whether FormData takes the pressed button along; an older one looks at nothing but the form.
function supportsSubmitter() {
  try {
    return !new FormData(create("form"), create("div"));
  } catch {
    return true;
  }
}

// What the browser would send now, in a form of our own: as soon as theirs is on its way, pages
// disable its button or empty its fields; and their handlers, which have run, must not run twice.
function snapshotForm(form, button) {
  const copy = create("form");
  for (const name of ["action", "enctype", "method", "rel", "target"]) {
    const value = effectiveAttribute(name, form, button);
    if (value !== null) copy.setAttribute(name, value);
  }
  copy.acceptCharset = attribute(form, "accept-charset") ?? "";
  copy.hidden = true;
  for (const [name, value] of new FormData(form, button)) {
    const field = create("input");
    field.type = typeof value === "string" ? "hidden" : "file";
    field.name = name;
    if (field.type === "hidden") {
      field.value = value;
    } else if (value.name || value.size) {
      const chosen = new DataTransfer();
      chosen.items.add(value);
      field.files = chosen.files;
    }
    copy.append(field);
  }
  return copy;
}

function send(copy) {
  document.documentElement.append(copy);
  // A field may well be called "submit" or "remove".
  HTMLFormElement.prototype.submit.call(copy);
  setTimeout(() => Element.prototype.remove.call(copy));
}

// An expired session is refreshed before a form is sent, so that nothing typed is lost. Whatever
// comes of that, the form goes on: if it was in vain, the server says why and keeps nothing.
function guardForms() {
  const waiting = new WeakSet();
  async function guard(event) {
    const { target: form, submitter: button } = event;
    if (event.defaultPrevented || !hasRunOut() || !isOurPost(form, button)) return;
    if (button?.name && !supportsSubmitter()) return;
    const copy = snapshotForm(form, button);
    event.preventDefault();
    if (waiting.has(form)) return;
    waiting.add(form);
    const tooLong = new Promise((done) => setTimeout(done, SILENT_MS));
    await Promise.race([refreshForAllTabs(() => !hasRunOut(), attempt), tooLong]).catch(() => {});
    waiting.delete(form);
    send(copy);
  }
  // Always the last listener: one behind this could take the form over, and would find it taken.
  addEventListener("submit", () => {
    removeEventListener("submit", guard);
    addEventListener("submit", guard);
  }, true);
}

// A page from the back/forward cache shows what was meant for whoever was signed in when it came.
function askAgainWhenRestored() {
  const owner = frontToken().uid;
  addEventListener("pageshow", (event) => {
    if (!event.persisted || frontToken().uid === owner) return;
    document.documentElement.style.setProperty("display", "none", "important");
    // To reload the answer to a form would send it again, in the name of whoever is here now.
    if (settings.unsafe === undefined) location.reload();
    else location.replace(location.pathname + location.search);
  });
}

if (settings.mode === "session") {
  askAgainWhenRestored();
  guardForms();
  try {
    startSdk();
  } catch (error) {
    warn(`the SuperTokens SDK cannot start here (${error.name})`);
  }
} else if (!window[RUNS]) {
  window[RUNS] = true;
  main();
}
