// Reads the cookies that the SDK leaves to scripts.
import { settings } from "./page.js";

// In a sandboxed frame even reading is an error; the SDK then fails to start, and that is named.
function readCookies() {
  try {
    return document.cookie;
  } catch {
    return "";
  }
}

// When the SDK last stored what the API sent, by Date.now(), or 0.
export function lastTokenUpdate() {
  const match = /(?:^|; )st-last-access-token-update=(\d+)/.exec(readCookies());
  return match === null ? 0 : Number(match[1]);
}

export function hasCookie(name) {
  return readCookies().split("; ").some((cookie) => cookie.startsWith(`${name}=`));
}

// What the SDK says of the session, good for comparing only; empty where it says nothing.
export function frontToken() {
  try {
    const encoded = atob(/(?:^|; )sFrontToken=([^;]*)/.exec(document.cookie)[1]);
    const bytes = Uint8Array.from(encoded, (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

export function deleteUpdateCookie() {
  const expired = "st-last-access-token-update=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT";
  document.cookie = expired;
  if (settings.cookieDomain) document.cookie = `${expired}; domain=${settings.cookieDomain}`;
}

// Whether another tab did it since this page was asked for, and the token it got is still good: told
// by how long tokens live, which is right whatever the clock here says.
export function wasRefreshedElsewhere(marginMs = 0) {
  const age = Date.now() - lastTokenUpdate();
  const { ate, up } = frontToken();
  return age >= 0 && age < performance.now() - marginMs && age < ate - up?.iat * 1000;
}
