// Holds links and forms back until the session is refreshed.
import { isRefreshing } from "./lock.js";
import { attribute, queryAll } from "./page.js";
import { REFRESH_TIMEOUT_MS, refreshForAllTabs } from "./sdk.js";
import { isTokenExpired } from "./token_expiry.js";

// Without a refresh, a link meets the refresh page, and a posted form may lose its entries. Five
// seconds after the click, browsers open no new tab.
const SHORT_TIMEOUT_MS = 4000;

// What waits: one navigation of this page, under the key `window`, and one of each form that is sent
// to another tab or frame, under that form.
const waiting = new Map();

// Run `guard` after all other listeners: one of them may handle the event itself. Turbo moves its own
// listener to the end in the window's capture phase; the document's phase comes later.
export function listenLast(type, guard) {
  const moveToEnd = () => {
    removeEventListener(type, guard);
    addEventListener(type, guard);
  };
  EventTarget.prototype.addEventListener.call(document, type, moveToEnd, true);
}

// Return whether a link or form with this `target` attribute replaces this page.
export function replacesThisPage(target) {
  const [base] = queryAll("base[target]");
  return /^(_self)?$/i.test(target || (base && attribute(base, "target")) || "");
}

// Hold back the navigation that `event` starts until the session is refreshed, if it has to be.
// `mayWait`: the navigation needs the session, and this script can repeat it. `prepare` copies what
// the browser would do now, and returns a function that does it.
//
// The last navigation of this page replaces one that waits. But a link does not replace a posted
// form, and no form is posted twice.
export function holdNavigation(event, { element, isPost, mayWait, place = window, prepare }) {
  const earlier = waiting.get(place);
  if (earlier?.isPost && (earlier.element === element || !isPost)) {
    event.preventDefault();
    return;
  }
  earlier?.cancel();
  // Leaving the page during a refresh would lose the new tokens.
  if (!mayWait || !(isTokenExpired() || isRefreshing())) return;
  const navigate = prepare();
  event.preventDefault();
  // The browser does not wait for an event that cannot be cancelled.
  if (event.defaultPrevented) waitForRefresh(place, element, isPost, navigate);
}

function waitForRefresh(place, element, isPost, navigate) {
  const busyBefore = attribute(element, "aria-busy");
  const cancel = () => {
    clearTimeout(timer);
    removeEventListener("beforeunload", cancelAll);
    waiting.delete(place);
    setBusy(element, busyBefore);
  };
  const goOn = () => {
    if (waiting.get(place)?.cancel !== cancel) return;
    cancel();
    navigate();
  };
  waiting.set(place, { element, isPost, cancel });
  setBusy(element, "true");
  // The visitor goes back, or a script goes elsewhere: that page may take longer than the refresh.
  addEventListener("beforeunload", cancelAll);
  const mayTakeLong = isPost && place === window;
  const timer = setTimeout(goOn, mayTakeLong ? REFRESH_TIMEOUT_MS : SHORT_TIMEOUT_MS);
  // The server's response names the cause if the refresh fails.
  refreshForAllTabs(() => !isTokenExpired() && !isRefreshing()).catch(() => {}).then(goOn);
}

function setBusy(element, value) {
  if (value === null) Element.prototype.removeAttribute.call(element, "aria-busy");
  else Element.prototype.setAttribute.call(element, "aria-busy", value);
}

function cancelAll() {
  for (const { cancel } of [...waiting.values()]) cancel();
}

// The visitor leaves in another way. The back/forward cache may show this page again.
addEventListener("pagehide", cancelAll);
listenLast("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented) cancelAll();
});
