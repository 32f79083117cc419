// Refreshes in the background before the token expires, on a page that is in use.
//
// Each refresh needs input since the last one. So after the last input at most one more token is
// fetched, and the session of an untouched page ends as it would without this script.
import { isVisible, noticeTemplate } from "./page.js";
import { refreshInBackground } from "./sdk.js";
import { tokenTimes } from "./token_expiry.js";

const MAX_AHEAD_MS = 30000;
const SHARE_OF_LIFE = 0.2;
// The first pause ends before a core of CDI 5.6 gives the old refresh token up, after 30 seconds.
const FIRST_PAUSE_MS = 10000;
const MAX_PAUSE_MS = 300000;
const MAX_TIMER_MS = 2 ** 31 - 1; // setTimeout() takes more for 0

let usedId; // of the token that there was input with; undefined after a refresh
let isRefreshing = false;
let timer;
let pauseMs = 0;
let pauseEnd = 0; // by performance.now()

function msUntilDue() {
  const { leftMs, lifeMs } = tokenTimes();
  return leftMs - Math.min(lifeMs * SHARE_OF_LIFE, MAX_AHEAD_MS);
}

async function refreshIfDue(isInput) {
  clearTimeout(timer);
  const { id, leftMs, lifeMs } = tokenTimes();
  if (isRefreshing || id !== usedId || !isVisible()) return;
  // Timers are late after a computer has slept, and input from before is too old then. Without a
  // token, there is nothing to refresh, unless the page was made for a session.
  if (!(leftMs > -lifeMs || (isInput && (leftMs <= 0 || noticeTemplate())))) return;
  const waitMs = Math.max(msUntilDue(), pauseEnd - performance.now());
  if (waitMs > 0) {
    timer = setTimeout(refreshIfDue, Math.min(waitMs, MAX_TIMER_MS));
    return;
  }
  isRefreshing = true;
  // A failure changes nothing for the visitor: the next click or form refreshes, or says why not.
  await refreshInBackground(() => tokenTimes().id !== id || !isVisible());
  isRefreshing = false;
  usedId = undefined;
  // The new token may be due at once, where clocks differ. That also calls for a pause.
  pauseMs = msUntilDue() > 0 ? 0 : Math.min(pauseMs * 2 || FIRST_PAUSE_MS, MAX_PAUSE_MS);
  pauseEnd = performance.now() + pauseMs;
}

function onInput(event) {
  if (!event.isTrusted) return;
  usedId = tokenTimes().id;
  refreshIfDue(true);
}

// A visitor who comes back soon goes on. After a longer time, refreshIfDue() wants input.
function onVisibilityChange() {
  const { id, leftMs } = tokenTimes();
  if (isVisible() && leftMs <= 0) usedId = id;
  refreshIfDue();
}

export function refreshAhead() {
  for (const name of ["keydown", "pointerdown", "input"]) {
    addEventListener(name, onInput, { capture: true, passive: true });
  }
  addEventListener("visibilitychange", onVisibilityChange);
  // A window gets the focus when a computer wakes up, perhaps long before the timer ends.
  addEventListener("focus", () => refreshIfDue());
}
