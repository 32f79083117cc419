// Calls SuperTokens' browser SDK: starts it, refreshes, signs out.
import * as bundledSdk from "supertokens-website";

import { makeLock, removeInvalidLock, withWebLock } from "./lock.js";
import { settings, warn } from "./page.js";
import { deleteUpdateCookie, hasCookie } from "./sdk_cookies.js";
import { onSdkEvent } from "./session_watch.js";

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

export function startSdk() {
  // The page has started the SDK itself, perhaps with its own hooks.
  if (pageHasSdk && window.__supertokensOriginalFetch) return;
  const options = {
    apiDomain: settings.apiDomain,
    apiBasePath: settings.apiBasePath,
    sessionExpiredStatusCode: Number(settings.expiredStatus),
    preAPIHook: beforeApiRequest,
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

// The SDK refreshes when the API answers a sign-out with 401. If the API rejects its own new
// tokens, the SDK would repeat that for ever, so a sign-out may refresh only once.
let refreshesLeft = Infinity;

async function beforeApiRequest({ action, url, requestInit }) {
  if (action !== "REFRESH_SESSION" && action !== "SIGN_OUT") return { url, requestInit };
  if (action === "REFRESH_SESSION" && refreshesLeft-- <= 0) throw new Error("already refreshed");
  return { url, requestInit: { ...requestInit, signal: attempt.signal } };
}

// The SDK rejects with the Response if the API answers with an error, with a TypeError if the
// connection fails, and with a DOMException if storage is blocked.
export function errorCause(error) {
  if (error instanceof Response) return settings.duplicates === undefined ? "status" : "duplicate";
  if (error instanceof TypeError) return "network";
  // atob() also throws a DOMException, for a front token that is not base64.
  const isBlocked = error instanceof DOMException && error.name !== "InvalidCharacterError";
  return isBlocked ? "blocked" : "answer";
}

// If the browser sends several session cookies, the API's first response only deletes the older
// ones and contains no token. The SDK rejects it, and a second refresh succeeds.
async function attemptRefresh() {
  removeInvalidLock();
  try {
    return await sdk.attemptRefreshingSession();
  } catch (error) {
    if (settings.duplicates === undefined || errorCause(error) !== "answer") throw error;
    return sdk.attemptRefreshingSession();
  }
}

async function refresh() {
  const looksSignedOut = hasCookie("st-last-access-token-update") && !hasCookie("sFrontToken");
  if (await attemptRefresh()) return true;
  // The SDK's cookies say "signed out", so it sent no request. But the server saw a token.
  if (!looksSignedOut || !settings.token) return false;
  deleteUpdateCookie();
  return attemptRefresh();
}

// Refresh unless `isDone` says, once this tab has the lock, that another tab has refreshed.
export function refreshForAllTabs(isDone) {
  return withWebLock(attempt, async () => isDone() || (await refresh()));
}

// Send a request to the API through the SDK, which refreshes first if it must, and keeps new tokens.
export function apiFetch(method, path) {
  const base = settings.apiBasePath === "/" ? "" : settings.apiBasePath;
  return fetch(settings.apiDomain + base + path, { method, signal: attempt.signal });
}

// Sign out of a session that the site treats as revoked but the API still refreshes. Otherwise the
// sign-in page would send the visitor back as signed in, and the loop would never end.
export async function signOutRevokedSession() {
  refreshesLeft = 1;
  try {
    await sdk.signOut();
  } finally {
    refreshesLeft = Infinity;
  }
  if (hasCookie("sFrontToken")) throw new Error("the session still exists");
}
