// Lets one tab refresh at a time: a Web Lock around the SDK's own lock.
import tabsLock from "browser-tabs-lock";

// browser-tabs-lock keeps the SDK's lock for the refresh in localStorage under this key.
const SDK_LOCK = "browser-tabs-lock-key-REFRESH_TOKEN_USE";
const ownLocks = new Set();

// Remember the lock's id before the lock is stored, so that pagehide can always remove it.
export async function makeLock() {
  const lock = new tabsLock.default();
  ownLocks.add(lock.id);
  return lock;
}

function lockHolder() {
  try {
    return JSON.parse(localStorage.getItem(SDK_LOCK)).id;
  } catch {
    return null; // no lock, junk, or storage is blocked
  }
}

// Return whether the SDK of this page refreshes now.
export const isRefreshing = () => ownLocks.has(lockHolder());

// The SDK never removes a lock that is junk or that has a time in the future.
export function removeInvalidLock() {
  try {
    const { timeRefreshed } = JSON.parse(localStorage.getItem(SDK_LOCK));
    if (timeRefreshed <= Date.now()) return;
  } catch {
    // no lock, junk, or storage is blocked
  }
  try {
    localStorage.removeItem(SDK_LOCK);
  } catch {
    // storage is blocked
  }
}

// The SDK's lock survives a page that is left during a refresh. The next page would wait five
// seconds for it.
addEventListener("pagehide", () => {
  if (ownLocks.has(lockHolder())) localStorage.removeItem(SDK_LOCK);
});

// Run `work` while this page holds the Web Lock. Without Web Locks, the SDK's lock works alone.
export async function withWebLock({ signal }, work) {
  let started = false;
  const lockedWork = () => {
    started = true;
    return work();
  };
  try {
    return await navigator.locks.request("flask-ssr-session-refresh", { signal }, lockedWork);
  } catch (error) {
    if (started || signal.aborted) throw error;
    return lockedWork(); // this browser or page has no Web Locks
  }
}
