// Watches for a sign-out or a sign-in, in this tab or elsewhere.
//
// Only the cookies tell who is signed in: all tabs and sub-domains share them. The channel only
// tells the other tabs of this origin to look at once.
import { isVisible, settings, shown } from "./page.js";
import { frontToken } from "./sdk_cookies.js";

// Another process may get the message before it gets the changed cookies.
const COOKIE_DELAY_MS = 200;

let channel;
let noteOwnChange = () => {};

export function currentSession() {
  const { uid, up } = frontToken();
  return { uid, handle: up?.sessionHandle };
}

export function tellOtherTabs() {
  try {
    channel.postMessage(null);
  } catch {
    // This page has no channel. The other tabs look when they are focused or shown.
  }
}

// The SDK calls this for its events, unless the page has started the SDK itself.
export function onSdkEvent({ action }) {
  noteOwnChange(action);
  tellOtherTabs();
}

// Call `check` whenever the session may have changed elsewhere, and `onOwnChange` after the SDK of
// this page has changed it.
export function watchSession(check, onOwnChange = () => {}) {
  noteOwnChange = onOwnChange;
  const openChannel = () => {
    try {
      channel = new BroadcastChannel("flask-ssr-session");
      channel.onmessage = () => setTimeout(check, COOKIE_DELAY_MS, {});
    } catch {
      // storage is blocked, or the browser is old
    }
  };
  openChannel();
  // An open channel can keep a page out of the back/forward cache.
  addEventListener("pagehide", () => channel && channel.close());
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    openChannel();
    check(event);
  });
  addEventListener("focus", check);
  addEventListener("visibilitychange", check);
}

// Call `work` when the visitor has signed in elsewhere, while this page asks for that.
export function onSignIn(work) {
  let { handle: before } = currentSession();
  watchSession(() => {
    const { uid, handle } = currentSession();
    const isWaiting =
      ["sign_in", "renewed", "other_owner"].includes(shown.part) || shown.cause === "ended";
    // Only the response to a form does not reload, so that it may change in a hidden tab. A reload
    // that is refused does not come here again: it has another cause.
    const mayWork = settings.unsafe !== undefined || isVisible();
    if (!isWaiting || !uid || handle === before || !mayWork) return;
    before = handle;
    work();
  });
}
