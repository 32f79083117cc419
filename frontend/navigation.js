// Where a visitor goes once the refresh is over.
import { isOwner } from "./form.js";
import { noteRefreshed } from "./loop_guard.js";
import { all, settings, show } from "./page.js";

const STILL_HERE_MS = 3000;
// Servers answer a longer one with 414, as gunicorn does; to the server it is MAX_LOCATION_CHARS.
const LONGEST_ADDRESS = 4000;

// The server has validated it; this only makes sure that no other kind of URL can ever run.
function navigateTo(target) {
  const url = new URL(target, location.href);
  if (url.protocol === "https:" || url.protocol === "http:") location.replace(url.href);
}

export function continueToPage() {
  if (settings.unsafe !== undefined) {
    // A reload would send the form again, by itself and with cookies. The visitor decides.
    show([...all("[data-ssr-owner]")].every(isOwner) ? "renewed" : "other_owner");
    return;
  }
  if (!noteRefreshed()) {
    show("renewed"); // the visitor goes on by a link: without a trace of this, it might never end
    return;
  }
  setTimeout(() => show("renewed"), STILL_HERE_MS); // the page was a download, or is slow
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
export function withFragment(address) {
  const [head, ...rest] = address.split("#");
  // The server adds the way back behind everything else.
  const last = head.slice(Math.max(head.lastIndexOf("?"), head.lastIndexOf("&")) + 1);
  const [name, back] = [...new URLSearchParams(last)][0] ?? [];
  if (!location.hash || name !== settings.returnParam || back.includes("#")) return address;
  const longer = [head + encodeURIComponent(location.hash), ...rest].join("#");
  return longer.length > LONGEST_ADDRESS ? address : longer;
}

export function signIn() {
  if (settings.optional !== undefined || settings.unsafe !== undefined) {
    show("problem", "ended");
  } else {
    navigateTo(withFragment(settings.signIn));
  }
}
