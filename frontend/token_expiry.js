// Tells how long the access token lasts, by the front token that the SDK keeps.
import { frontToken } from "./sdk_cookies.js";

// A token that expires this soon counts as expired: it must last until an upload has arrived.
const EXPIRY_MARGIN_MS = 2000;

let seenId; // of the token that was looked at last
let seenUntil; // when it expires, by performance.now()

function serverNow() {
  let clockSkew = 0;
  try {
    clockSkew = Number(localStorage.getItem("__st_clockSkewInMillis")) || 0; // set by the SDK
  } catch {
    // storage is blocked
  }
  return Date.now() + clockSkew;
}

// Return an id that each refresh changes, the time that is left of the token, and its whole life.
// Without a token, the times are NaN.
export function tokenTimes() {
  const { ate, up } = frontToken();
  const now = performance.now();
  let leftMs = ate - serverNow();
  // Two refreshes in one second have the same `ate`; a claim that changes keeps both.
  const id = `${ate} ${up?.refreshTokenHash1}`;
  if (id !== seenId) [seenId, seenUntil] = [id, now + leftMs];
  // The one clock may be set back meanwhile, the other stops while the computer sleeps.
  leftMs = Math.min(leftMs, seenUntil - now);
  return { id, leftMs, lifeMs: ate - up?.iat * 1000 };
}

export function isTokenExpired() {
  return tokenTimes().leftMs <= EXPIRY_MARGIN_MS;
}
