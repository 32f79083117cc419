// Lets one tab refresh at a time: a Web Lock around the SDK's own lock.
import tabsLock from "browser-tabs-lock";

// browser-tabs-lock keeps the SDK's lock for the refresh in localStorage under this key.
const SDK_LOCK = "browser-tabs-lock-key-REFRESH_TOKEN_USE";
const ownLocks = new Set();
let holdsWebLock = false; // true: no other page with this script refreshes now

// The SDK's lock with a shorter wait. browser-tabs-lock waits so that two pages do not take the
// lock at the same moment; a Web Lock already excludes that for pages with this script. Pages that
// use the SDK without this script write up to 24 ms after they read, so the check after 30 ms
// stays: a page whose lock was overwritten by then does not hold it.
class OwnLock extends tabsLock.default {
  async acquireLock(key, timeout) {
    if (holdsWebLock && localStorage.getItem(SDK_LOCK) === null) {
      const now = Date.now();
      const iat = String(now);
      const lock = { id: this.id, iat, timeAcquired: now, timeRefreshed: now };
      localStorage.setItem(SDK_LOCK, JSON.stringify(lock));
      await new Promise((resolve) => setTimeout(resolve, 30));
      if (lockHolder() === this.id) {
        this.acquiredIatSet.add(iat);
        this.refreshLockWhileAcquired(SDK_LOCK, iat);
        return true;
      }
    }
    return super.acquireLock(key, timeout);
  }
}

// Remember the lock's id before the lock is stored, so that pagehide can always remove it.
export async function makeLock() {
  const lock = new OwnLock();
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
  const lockedWork = async (webLock) => {
    started = true;
    holdsWebLock = Boolean(webLock);
    try {
      return await work();
    } finally {
      holdsWebLock = false;
    }
  };
  try {
    return await navigator.locks.request("flask-ssr-session-refresh", { signal }, lockedWork);
  } catch (error) {
    if (started || signal.aborted) throw error;
    return lockedWork(); // this browser or page has no Web Locks
  }
}
