// Calls SuperTokens' own browser SDK: starts it, lets it refresh, lets it sign out.
import * as bundledSdk from "supertokens-website";

import { makeLock, removeInvalidLock, withWebLock } from "./lock.js";
import { settings, warn } from "./page.js";
import { deleteUpdateCookie, hasCookie } from "./sdk_cookies.js";

export const REFRESH_TIMEOUT_MS = 10000;

// A page may carry the SDK already; a second copy would only share its state.
const pageSdk = window.supertokensWebsite;
const pageHasSdk = pageSdk && typeof pageSdk.init === "function";
const sdk = pageHasSdk ? pageSdk : bundledSdk;
window.supertokensWebsite = sdk;

// Content may be named like the SDK's own mark, which would tell it that it has been started.
if (!Object.prototype.hasOwnProperty.call(window, "__supertokensOriginalFetch")) {
  window.__supertokensOriginalFetch = undefined;
}

export function startSdk() {
  // Who started it on this page, with hooks of its own perhaps, knows better.
  if (pageHasSdk && window.__supertokensOriginalFetch) return;
  const options = {
    apiDomain: settings.apiDomain,
    apiBasePath: settings.apiBasePath,
    sessionExpiredStatusCode: Number(settings.expiredStatus),
    preAPIHook: beforeApiRequest,
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

// A new attempt ends the one before, which may hang for minutes and hold both locks.
let attempt = new AbortController();

export function startAttempt() {
  attempt.abort();
  attempt = new AbortController();
  return attempt;
}

// While it signs out, the SDK may refresh once more. Where the API never accepts the token that its own
// refresh brings, the SDK would go on and on.
let refreshesLeft = Infinity;

async function beforeApiRequest({ action, url, requestInit }) {
  if (action !== "REFRESH_SESSION" && action !== "SIGN_OUT") return { url, requestInit };
  if (action === "REFRESH_SESSION" && refreshesLeft-- <= 0) throw new Error("refreshed before");
  return { url, requestInit: { ...requestInit, signal: attempt.signal } };
}

// The SDK rejects with the Response itself; a failed connection is a TypeError, blocked storage a
// DOMException.
export function errorCause(error) {
  if (error instanceof Response) return settings.duplicates === undefined ? "status" : "duplicate";
  if (error instanceof TypeError) return "network";
  // A front token that is no base64 is a DOMException, too.
  const isBlocked = error instanceof DOMException && error.name !== "InvalidCharacterError";
  return isBlocked ? "blocked" : "answer";
}

// The API's first answer to several session cookies only deletes the older ones, without a token.
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
  // The SDK did not even ask, since its cookies say "signed out"; but the server saw a token.
  if (!looksSignedOut || !settings.token) return false;
  deleteUpdateCookie();
  return attemptRefresh();
}

export function refreshForAllTabs(isDone) {
  return withWebLock(attempt, async () => isDone() || (await refresh()));
}

// End a session that the site calls revoked. If the API still renews it, the page would refresh, go to
// sign-in, be sent back from there as signed in, and so on for ever.
export async function signOutRevokedSession() {
  refreshesLeft = 1;
  try {
    await sdk.signOut();
  } finally {
    refreshesLeft = Infinity;
  }
  if (hasCookie("sFrontToken")) throw new Error("the session is still there");
}
