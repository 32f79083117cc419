// Where a visitor goes once the refresh is over.
import { isOwner } from "./form.js";
import { storeMarker } from "./loop_guard.js";
import { queryAll, settings, show } from "./page.js";

const NAVIGATION_TIMEOUT_MS = 3000;
// Servers answer a longer one with 414, as gunicorn does; to the server it is MAX_LOCATION_CHARS.
const MAX_URL_CHARS = 4000;

// The server has validated it; this only makes sure that no other kind of URL can ever run.
function navigateTo(target) {
  const url = new URL(target, location.href);
  if (url.protocol === "https:" || url.protocol === "http:") location.replace(url.href);
}

export function continueToPage() {
  if (settings.unsafe !== undefined) {
    // A reload would send the form again, by itself and with cookies. The visitor decides.
    show([...queryAll("[data-ssr-owner]")].every(isOwner) ? "renewed" : "other_owner");
    return;
  }
  if (!storeMarker()) {
    show("renewed"); // the visitor goes on by a link: without a trace of this, it might never end
    return;
  }
  setTimeout(() => show("renewed"), NAVIGATION_TIMEOUT_MS); // the page was a download, or is slow
  const target = settings.returnTo;
  if (target) {
    navigateTo(target.includes("#") ? target : target + location.hash);
  } else if (location.href.includes("#")) {
    location.reload(); // to replace a URL by itself with a fragment would not load anything
  } else {
    location.replace(location.href);
  }
}

// Add the fragment of the page that was asked for to the way back: no server ever sees it.
export function addFragmentToReturnPath(url) {
  const [base, ...hashes] = url.split("#");
  // The server adds the way back behind everything else.
  const lastPair = base.slice(Math.max(base.lastIndexOf("?"), base.lastIndexOf("&")) + 1);
  const [name, returnPath] = [...new URLSearchParams(lastPair)][0] ?? [];
  if (!location.hash || name !== settings.returnParam || returnPath.includes("#")) return url;
  const extended = [base + encodeURIComponent(location.hash), ...hashes].join("#");
  return extended.length > MAX_URL_CHARS ? url : extended;
}

export function goToSignIn() {
  if (settings.optional !== undefined || settings.unsafe !== undefined) {
    show("problem", "ended");
  } else {
    navigateTo(addFragmentToReturnPath(settings.signIn));
  }
}
