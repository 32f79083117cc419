// Runs on ordinary pages: starts the SDK and refreshes before a form is sent.
import { isSameOriginPost, snapshotForm, submitSnapshot, supportsSubmitter } from "./form.js";
import { queryAll, settings, warn } from "./page.js";
import { REFRESH_TIMEOUT_MS, refreshForAllTabs, startSdk } from "./sdk.js";
import { frontToken } from "./sdk_cookies.js";

// A token that expires this soon counts as expired: it must last until an upload has arrived.
const EXPIRY_MARGIN_MS = 2000;

function isTokenExpired() {
  let clockSkew = 0;
  try {
    clockSkew = Number(localStorage.getItem("__st_clockSkewInMillis")); // set by the SDK
  } catch {
    // storage is blocked
  }
  return frontToken().ate <= Date.now() + clockSkew + EXPIRY_MARGIN_MS;
}

// Refresh an expired session before a form is sent, so that the visitor's entries are not lost. The
// form is sent even if the refresh fails: the server's response then names the cause.
function guardForms() {
  const waiting = new WeakSet();
  async function guard(event) {
    const { target: form, submitter: button } = event;
    if (event.defaultPrevented || !isTokenExpired() || !isSameOriginPost(form, button)) return;
    if (button?.name && !supportsSubmitter()) return;
    const copy = snapshotForm(form, button);
    event.preventDefault();
    if (waiting.has(form)) return;
    waiting.add(form);
    const timeout = new Promise((resolve) => setTimeout(resolve, REFRESH_TIMEOUT_MS));
    await Promise.race([refreshForAllTabs(() => !isTokenExpired()), timeout]).catch(() => {});
    waiting.delete(form);
    submitSnapshot(copy);
  }
  // Run after all other submit listeners: one of them may handle the form itself.
  addEventListener("submit", () => {
    removeEventListener("submit", guard);
    addEventListener("submit", guard);
  }, true);
}

// The back/forward cache may restore a page that was loaded for another user. Hide and reload it.
function reloadForAnotherUser() {
  const loadedFor = frontToken().uid;
  addEventListener("pageshow", (event) => {
    if (!event.persisted || frontToken().uid === loadedFor) return;
    document.documentElement.style.setProperty("display", "none", "important");
    // Firefox fills the fields of a reloaded page in again, with what the other user has typed.
    for (const form of queryAll("form")) HTMLFormElement.prototype.reset.call(form);
    // Reloading the response to a form would send the form again, now as the current user.
    if (settings.unsafe === undefined) location.reload();
    else location.replace(location.pathname + location.search);
  });
}

export function runOrdinaryPage() {
  reloadForAnotherUser();
  guardForms();
  try {
    startSdk();
    // The page was made with newer claims than the token has: the next pages should have them, too.
    if (settings.staleClaims !== undefined) refreshForAllTabs(() => false).catch(() => {});
  } catch (error) {
    warn(`the SuperTokens SDK cannot start here (${error.name})`);
  }
}
