// Asks the API for a refresh, and tells what became of it: four requests at most.
import { removeInvalidLock } from "./lock.js";
import { settings } from "./page.js";
import { forgetRefresh } from "./refresh_note.js";
import { lastTokenUpdate } from "./sdk_cookies.js";

// The SDK rejects with the Response if the API answers with an error, with a TypeError if the
// connection fails, and with a DOMException if storage is blocked.
export function errorCause(error) {
  if (error instanceof Response) return settings.duplicates === undefined ? "status" : "duplicate";
  if (error instanceof TypeError) return "network";
  // atob() also throws a DOMException, for a front token that is not base64.
  const isBlocked = error instanceof DOMException && error.name !== "InvalidCharacterError";
  return isBlocked ? "blocked" : "answer";
}

// Refresh, and ask once more if the connection failed: the API may have refreshed, and only its
// answer is lost. The SDK's lock takes a moment, in which a page that is being left has ended.
async function askOrRepeat(sdk) {
  removeInvalidLock();
  for (let isRepeated = false; ; isRepeated = true) {
    const lastUpdate = lastTokenUpdate();
    try {
      const hasSession = await sdk.attemptRefreshingSession();
      forgetRefresh();
      return hasSession;
    } catch (error) {
      const cause = errorCause(error);
      // The SDK also fails with a TypeError on a front token that it has stored and cannot read.
      const isLost = cause === "network" && lastTokenUpdate() === lastUpdate;
      if (isLost && !isRepeated) continue;
      if (!isLost && cause !== "blocked") forgetRefresh(); // "blocked": or aborted
      throw error;
    }
  }
}

// If the browser sends several session cookies, the API's first response only deletes the older
// ones and contains no token. The SDK rejects it, and a second refresh succeeds.
export async function askForRefresh(sdk) {
  try {
    return await askOrRepeat(sdk);
  } catch (error) {
    if (settings.duplicates === undefined || errorCause(error) !== "answer") throw error;
    return askOrRepeat(sdk);
  }
}
