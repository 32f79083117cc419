// Calls SuperTokens' browser SDK: starts it, refreshes, signs out.
import * as bundledSdk from "supertokens-website";

import { askForRefresh } from "./ask_refresh.js";
import { makeLock, withWebLock } from "./lock.js";
import { settings, warn } from "./page.js";
import { forgetRefresh, isAnswerMissing, noteRefresh } from "./refresh_note.js";
import { deleteUpdateCookie, hasCookie, lastTokenUpdate } from "./sdk_cookies.js";
import { onSdkEvent } from "./session_watch.js";

export { errorCause } from "./ask_refresh.js";
export const REFRESH_TIMEOUT_MS = 10000;

// Use the page's own copy of the SDK if there is one: two copies would share one state.
const pageSdk = window.supertokensWebsite;
const pageHasSdk = pageSdk && typeof pageSdk.init === "function";
const sdk = pageHasSdk ? pageSdk : bundledSdk;
window.supertokensWebsite = sdk;

// The SDK takes this property for the sign that it is started. An element with this id would appear
// as the property, so the window gets an own property that hides it.
if (!Object.prototype.hasOwnProperty.call(window, "__supertokensOriginalFetch")) {
  window.__supertokensOriginalFetch = undefined;
}

let lacksHooks = false;

export function startSdk() {
  // The page has started the SDK itself, perhaps with its own hooks.
  lacksHooks = Boolean(pageHasSdk && window.__supertokensOriginalFetch);
  if (lacksHooks) return;
  const options = {
    apiDomain: settings.apiDomain,
    apiBasePath: settings.apiBasePath,
    sessionExpiredStatusCode: Number(settings.expiredStatus),
    preAPIHook: beforeApiRequest,
    postAPIHook: afterApiAnswer,
    lockFactory: makeLock,
    onHandleEvent: onSdkEvent,
  };
  if (new URL(settings.apiDomain).hostname !== location.hostname) {
    if (settings.cookieDomain) {
      options.sessionTokenBackendDomain = settings.cookieDomain;
      options.sessionTokenFrontendDomain = settings.cookieDomain;
    } else {
      warn(`this page is at ${location.origin}, so the API's cookies will not arrive here`);
    }
  }
  sdk.init(options);
}

// A new attempt aborts the previous one, which may hang for minutes and hold both locks.
let attempt = new AbortController();

export function startAttempt() {
  attempt.abort();
  attempt = new AbortController();
  return attempt;
}

// The SDK refreshes when the API answers any other call with 401. If the API rejects its own new
// tokens, the SDK would repeat that ten times or for ever, so such a call may refresh only once.
let refreshesLeft = Infinity;

async function withOneRefresh(call) {
  refreshesLeft = 1;
  try {
    return await call();
  } finally {
    refreshesLeft = Infinity;
  }
}

async function beforeApiRequest({ action, url, requestInit }) {
  if (action !== "REFRESH_SESSION" && action !== "SIGN_OUT") return { url, requestInit };
  if (action === "REFRESH_SESSION") {
    if (refreshesLeft-- <= 0) throw new Error("already refreshed");
    // For a stranger, the SDK asks before its first other request, and tells nobody the answer.
    if (hasCookie("sFrontToken")) noteRefresh();
  }
  return { url, requestInit: { ...requestInit, signal: attempt.signal } };
}

// The SDK calls this only if the API has refreshed or signed out.
async function afterApiAnswer({ action }) {
  if (action === "REFRESH_SESSION") forgetRefresh();
}

async function refresh() {
  if (lacksHooks) noteRefresh();
  const looksSignedOut = hasCookie("st-last-access-token-update") && !hasCookie("sFrontToken");
  if (await askForRefresh(sdk)) return true;
  // The SDK's cookies say "signed out", so it sent no request. But the server saw a token.
  if (!looksSignedOut || !settings.token) return false;
  deleteUpdateCookie();
  return askForRefresh(sdk);
}

// Refresh unless `isDone` says, once this tab has the lock, that another tab has refreshed.
export function refreshForAllTabs(isDone) {
  return withWebLock(attempt, async () => isDone() || (await refresh()));
}

// Refresh where nobody waits for it. All tabs wait for the lock, so the request must not hang.
export async function refreshInBackground(isDone) {
  const timer = setTimeout(startAttempt, REFRESH_TIMEOUT_MS);
  await refreshForAllTabs(isDone).catch(() => {});
  clearTimeout(timer);
}

// Ask again if the page before this one was left before its refresh was answered.
export async function repeatLostRefresh() {
  if (!isAnswerMissing()) return;
  const lastUpdate = lastTokenUpdate();
  // Firefox may show a note for a moment that another tab has removed.
  const isDone = () => !isAnswerMissing() || lastTokenUpdate() !== lastUpdate;
  await refreshInBackground(isDone);
}

// Send a request to the API through the SDK, which refreshes first if it must, and keeps new tokens.
export function apiFetch(method, path) {
  const base = settings.apiBasePath === "/" ? "" : settings.apiBasePath;
  const { signal } = attempt;
  return withOneRefresh(() => fetch(settings.apiDomain + base + path, { method, signal }));
}

// Sign out of a session that the site treats as revoked but the API still refreshes. Otherwise the
// sign-in page would send the visitor back as signed in, and the loop would never end.
export async function signOutRevokedSession() {
  // The answer to a refresh that runs now must not arrive last: it would sign the visitor in again.
  await withWebLock(attempt, () => withOneRefresh(() => sdk.signOut()));
  if (hasCookie("sFrontToken")) throw new Error("the session still exists");
}
