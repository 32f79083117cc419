// An ordinary page: starts the SDK, and refreshes before a form is sent.
import { isSameOriginPost, snapshotForm, submitSnapshot, supportsSubmitter } from "./form.js";
import { settings, warn } from "./page.js";
import { REFRESH_TIMEOUT_MS, refreshForAllTabs, startSdk } from "./sdk.js";
import { frontToken } from "./sdk_cookies.js";

// An upload takes its time, and the token has to last until it has arrived.
const EXPIRY_MARGIN_MS = 2000;

function isTokenExpired() {
  let clockSkew = 0;
  try {
    clockSkew = Number(localStorage.getItem("__st_clockSkewInMillis")); // the SDK measures it
  } catch {
    // storage is blocked
  }
  return frontToken().ate <= Date.now() + clockSkew + EXPIRY_MARGIN_MS;
}

// An expired session is refreshed before a form is sent, so that nothing typed is lost. Whatever
// comes of that, the form goes on: if it was in vain, the server says why and keeps nothing.
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
  // Always the last listener: one behind this could take the form over, and would find it taken.
  addEventListener("submit", () => {
    removeEventListener("submit", guard);
    addEventListener("submit", guard);
  }, true);
}

// A page from the back/forward cache shows what was meant for whoever was signed in when it came.
function reloadForAnotherUser() {
  const loadedFor = frontToken().uid;
  addEventListener("pageshow", (event) => {
    if (!event.persisted || frontToken().uid === loadedFor) return;
    document.documentElement.style.setProperty("display", "none", "important");
    // To reload the answer to a form would send it again, in the name of whoever is here now.
    if (settings.unsafe === undefined) location.reload();
    else location.replace(location.pathname + location.search);
  });
}

export function runOrdinaryPage() {
  reloadForAnotherUser();
  guardForms();
  try {
    startSdk();
  } catch (error) {
    warn(`the SuperTokens SDK cannot start here (${error.name})`);
  }
}
