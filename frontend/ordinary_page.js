// An ordinary page: starts the SDK, and refreshes before a form is sent.
import { isOurPost, send, snapshotForm, supportsSubmitter } from "./form.js";
import { settings, warn } from "./page.js";
import { SILENT_MS, refreshForAllTabs, startSdk } from "./sdk.js";
import { frontToken } from "./sdk_cookies.js";

// An upload takes its time, and the token has to last until it has arrived.
const SOON_MS = 2000;

function hasRunOut() {
  let clockSkew = 0;
  try {
    clockSkew = Number(localStorage.getItem("__st_clockSkewInMillis")); // the SDK measures it
  } catch {
    // storage is blocked
  }
  return frontToken().ate <= Date.now() + clockSkew + SOON_MS;
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
    await Promise.race([refreshForAllTabs(() => !hasRunOut()), tooLong]).catch(() => {});
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

export function runOrdinaryPage() {
  askAgainWhenRestored();
  guardForms();
  try {
    startSdk();
  } catch (error) {
    warn(`the SuperTokens SDK cannot start here (${error.name})`);
  }
}
