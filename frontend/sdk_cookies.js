// Reads the cookies that the SDK shares with scripts: the front token and the update cookie.
import { settings } from "./page.js";

// An image named "cookie" would replace that property of its document.
const { get: getCookies } = Object.getOwnPropertyDescriptor(Document.prototype, "cookie");

// In a sandboxed frame, reading the cookies throws. The SDK then fails to start, and the page names
// that cause.
function readCookies() {
  try {
    return getCookies.call(document);
  } catch {
    return "";
  }
}

export function hasCookie(name) {
  return readCookies().split("; ").some((cookie) => cookie.startsWith(`${name}=`));
}

// Return the time (by Date.now()) at which the SDK last stored a token, or 0.
export function lastTokenUpdate() {
  const match = /(?:^|; )st-last-access-token-update=(\d+)/.exec(readCookies());
  return match === null ? 0 : Number(match[1]);
}

export function deleteUpdateCookie() {
  const expired = "st-last-access-token-update=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT";
  document.cookie = expired;
  if (settings.cookieDomain) document.cookie = `${expired}; domain=${settings.cookieDomain}`;
}

// Return the front token's fields, or an empty object. They are not verified: only compare them.
export function frontToken() {
  try {
    const encoded = atob(/(?:^|; )sFrontToken=([^;]*)/.exec(readCookies())[1]);
    const bytes = Uint8Array.from(encoded, (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

// Return a hash of the signed-in user's id, or undefined: FNV-1a over UTF-8, as the server's
// user_hash(). It distinguishes the users of this browser and proves nothing.
export function userHash() {
  const { uid } = frontToken();
  if (typeof uid !== "string" || !uid) return undefined;
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(uid)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

// Return whether another tab has refreshed since this page was requested, and its token is still
// valid. The token's age is compared with its lifetime, so a wrong clock here does not matter.
export function wasRefreshedElsewhere(marginMs = 0) {
  const age = Date.now() - lastTokenUpdate();
  const { ate, up } = frontToken();
  return age >= 0 && age < performance.now() - marginMs && age < ate - up?.iat * 1000;
}
