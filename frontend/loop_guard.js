// Notices that a refresh did not help, so that no page refreshes for ever.
import { settings } from "./page.js";
import { hasCookie, lastTokenUpdate } from "./sdk_cookies.js";

const MARKER = "ssr-session-refreshed";
// The next page that is refused so soon after a refresh shows that refreshing does not help.
const LOOP_WINDOW_MS = 5000;
const SDK_MARKER_MAX_AGE_MS = 500;

// Both ends are read off the same clock: timeOrigin does not follow later changes of Date.
const now = () => performance.timeOrigin + performance.now();

// Tells whether the next page will be able to know.
export function storeMarker() {
  const marker = JSON.stringify({ at: now(), token: settings.token });
  try {
    sessionStorage.setItem(MARKER, marker);
    return true;
  } catch {
    // Storage is blocked; the window's name survives a reload, too. Nobody else's is overwritten.
    if (window.name && !window.name.startsWith(MARKER)) return lastTokenUpdate() > 0;
    window.name = MARKER + marker;
    return true;
  }
}

export function takeMarker() {
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

// Markers can be cleared by the page's other scripts. The SDK's own mark says it as well: a token
// was stored just before this page was asked for, and yet the page was refused.
export function sdkMarker() {
  const age = Date.now() - performance.now() - lastTokenUpdate();
  return hasCookie("sFrontToken") && age > -2 && age < SDK_MARKER_MAX_AGE_MS ? {} : null;
}

// What the server says goes before what the tokens look like from here.
export function loopCause(marker) {
  if (settings.reason === "duplicate" || settings.duplicates !== undefined) return "duplicate";
  if (!settings.token) return "absent";
  return settings.token === marker.token ? "unchanged" : "refused";
}

// For whoever sets the site up; visitors are told what they can do themselves.
export const CAUSE_MESSAGES = {
  absent: "the token that the refresh API has stored did not come back: the cookie domain is wrong or missing, cookies are Secure on plain http or blocked, or something on the way takes Set-Cookie or Cookie away",
  unchanged: "the token that was refused came back: the refresh API sets its cookie for another domain or path, Set-Cookie got lost on the way, or a cache or service worker keeps an old page",
  duplicate: "several sAccessToken cookies came: where the cookie domain was changed, set older_cookie_domain where the API is",
  refused: "the new token was refused, too: most likely the signing keys are those of another core, or a clock is wrong; the log of flask_ssr_session says which",
};
