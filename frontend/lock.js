// One refresh across all tabs: the SDK's lock, and a Web Lock around it.
import tabsLock from "browser-tabs-lock";

// The SDK's lock for the refresh outlives a page that is left meanwhile, and would keep the next one
// waiting for five seconds.
const SDK_LOCK = "browser-tabs-lock-key-REFRESH_TOKEN_USE";
const ownLocks = new Set();
let holdsWebLock = false; // of our pages, this one alone is refreshing

// The SDK's own kind of lock, without the parts of its wait that only keep two pages from starting
// at one moment, where Web Locks see to that. The last part stays: other users of the SDK write
// within 24 ms of looking, and whoever was overwritten in these 30 ms has lost.
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

// Known to us before it is written anywhere.
export async function makeLock() {
  const lock = new OwnLock();
  ownLocks.add(lock.id);
  return lock;
}

function lockHolder() {
  try {
    return JSON.parse(localStorage.getItem(SDK_LOCK)).id;
  } catch {
    return null; // nobody, or storage is blocked
  }
}

// Junk, or a lock of a clock that was ahead, would never be given up.
export function removeInvalidLock() {
  try {
    const { timeRefreshed } = JSON.parse(localStorage.getItem(SDK_LOCK));
    if (timeRefreshed <= Date.now()) return;
  } catch {
    // none, junk, or storage is blocked
  }
  try {
    localStorage.removeItem(SDK_LOCK);
  } catch {
    // storage is blocked
  }
}

addEventListener("pagehide", () => {
  if (ownLocks.has(lockHolder())) localStorage.removeItem(SDK_LOCK);
});

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
    return lockedWork(); // no Web Locks here: the SDK's own lock has to do
  }
}
