// Tells when the access token expires, by the front token that the SDK keeps.
import { frontToken } from "./sdk_cookies.js";

// A token that expires this soon counts as expired: it must last until an upload has arrived.
const EXPIRY_MARGIN_MS = 2000;

export function isTokenExpired() {
  let clockSkew = 0;
  try {
    clockSkew = Number(localStorage.getItem("__st_clockSkewInMillis")); // set by the SDK
  } catch {
    // storage is blocked
  }
  return frontToken().ate <= Date.now() + clockSkew + EXPIRY_MARGIN_MS;
}
