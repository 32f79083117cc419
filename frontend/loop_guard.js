// Detects that a refresh did not help, so that no page refreshes in a loop.
//
// A page stores a marker when a refresh succeeds. If the next page is refused and finds the marker,
// another refresh would not help either, and the page names the cause.
import { settings } from "./page.js";
import { hasCookie, lastTokenUpdate } from "./sdk_cookies.js";

const MARKER = "ssr-session-refreshed";
// A page that is requested later than this after a refresh may need another one.
const LOOP_WINDOW_MS = 5000;
const SDK_MARKER_MAX_AGE_MS = 500;

// takeMarker() compares this with timeOrigin, so both must come from the same clock.
const now = () => performance.timeOrigin + performance.now();

// What this page tries: the cure of a claim, or a refresh ("").
const aim = settings.claim ?? "";
// What the pages just before it tried. Two pages may lead to each other, each for its own claim.
let triedBefore = [];

// Return whether a marker was stored. `isMet`: the API has called the claim met, so that the next page
// should be shown.
export function storeMarker(isMet) {
  const tried = [...triedBefore, aim];
  const marker = JSON.stringify({ at: now(), token: settings.token, tried, isMet });
  try {
    sessionStorage.setItem(MARKER, marker);
    return true;
  } catch {
    // Session storage is blocked or full. The window's name also survives a reload, but a site may
    // use it, as in window.open(url, name). The SDK's update cookie remains: see sdkMarker().
    const isFree = !window.name || window.name.startsWith(MARKER);
    if (isFree) window.name = MARKER + marker;
    return isFree;
  }
}

// Return the marker of the pages before this one, if one of them tried the same.
export function takeMarker() {
  let text = null;
  try {
    text = sessionStorage.getItem(MARKER);
    sessionStorage.setItem(MARKER, MARKER.repeat(4)); // fails if storeMarker() failed
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
    if (!(age > -1000 && age < LOOP_WINDOW_MS)) return null;
    triedBefore = [...(marker.tried ?? [""])]; // an earlier version stored none
    return triedBefore.includes(aim) ? marker : null;
  } catch {
    return null; // no marker, or junk
  }
}

// Other scripts can delete the marker. The update cookie is a second one: it shows that the SDK
// stored a token just before this page was requested, and yet the server refused the page. The SDK
// also sets it when it signs out, but then there is no front token.
export function sdkMarker() {
  const age = Date.now() - performance.now() - lastTokenUpdate();
  return hasCookie("sFrontToken") && age > -2 && age < SDK_MARKER_MAX_AGE_MS ? {} : null;
}

// The server's reason takes precedence over a comparison of the tokens.
export function loopCause(marker) {
  if (settings.reason === "duplicate" || settings.duplicates !== undefined) return "duplicate";
  if (!settings.token) return "absent";
  return settings.token === marker.token ? "unchanged" : "refused";
}

// For the console: what the site's developers can check. The page tells visitors what they can do.
export const CAUSE_MESSAGES = {
  absent:
    "the browser did not send the token that the refresh API set: the cookie domain is wrong or " +
    "missing, cookies are Secure on plain http or blocked, or a proxy removes Set-Cookie or Cookie",
  unchanged:
    "the browser sent the refused token again: the refresh API sets its cookie for another " +
    "domain or path, a proxy removes Set-Cookie, or a cache or service worker returns an old page",
  duplicate:
    "the browser sent several sAccessToken cookies: if the cookie domain was changed, set " +
    "older_cookie_domain at the API",
  refused:
    "the new token was refused too: most likely, the signing keys belong to another core or a " +
    "clock is wrong; the log of flask_ssr_session names the reason",
};
