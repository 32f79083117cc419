// Leaves the refresh page: to the requested page or to sign-in.
import { isOwner } from "./form.js";
import { storeMarker } from "./loop_guard.js";
import { queryAll, settings, show } from "./page.js";

const NAVIGATION_TIMEOUT_MS = 3000;
// gunicorn and others answer a longer request line with 414. Python: MAX_LOCATION_CHARS.
const MAX_URL_CHARS = 4000;
// The query parameter in which SuperTokens' prebuilt UI reads the return path after a cure.
export const CURE_RETURN_PARAM = "redirectToPath";

// The server has validated the target. This check keeps javascript: URLs out in any case.
export function navigateTo(target) {
  const { href, protocol } = new URL(target, location.href);
  const [page] = location.href.split("#");
  // A new fragment alone would load no page.
  if (/^https?:$/.test(protocol)) location.replace(href.startsWith(`${page}#`) ? page : href);
}

export function continueToPage() {
  if (settings.unsafe !== undefined) {
    // A reload would send the form again, with cookies, without the visitor's consent.
    show([...queryAll("[data-ssr-owner]")].every(isOwner) ? "renewed" : "other_owner");
    return;
  }
  // A refresh has a second marker. Without one, a claim that stays unmet would reload for ever.
  const isRepair = settings.claim !== undefined;
  if (!storeMarker(isRepair) && isRepair) {
    show("renewed");
    return;
  }
  setTimeout(() => show("renewed"), NAVIGATION_TIMEOUT_MS); // a download or a slow page
  const target = settings.returnTo;
  if (target) {
    navigateTo(target.includes("#") ? target : target + location.hash);
  } else if (location.href.includes("#")) {
    location.reload(); // replace() with the same URL and a fragment would not load the page
  } else {
    location.replace(location.href);
  }
}

// Add this page's fragment, which the server never receives, to the return path in a URL.
export function addFragmentToReturnPath(url, param) {
  const [base, ...hashes] = url.split("#");
  // The server puts the return path last in the query.
  const lastPair = base.slice(Math.max(base.lastIndexOf("?"), base.lastIndexOf("&")) + 1);
  const [name, returnPath] = [...new URLSearchParams(lastPair)][0] ?? [];
  if (!location.hash || name !== param || returnPath.includes("#")) return url;
  const extended = [base + encodeURIComponent(location.hash), ...hashes].join("#");
  return extended.length > MAX_URL_CHARS ? url : extended;
}

export function goToSignIn() {
  if (settings.optional !== undefined || settings.unsafe !== undefined) {
    show("problem", "ended");
  } else {
    navigateTo(addFragmentToReturnPath(settings.signIn, settings.returnParam));
  }
}

// A visitor who comes straight back would be sent there again, but for the marker. Without one, only
// a click leads there.
export function goToCure() {
  if (storeMarker(false)) navigateTo(addFragmentToReturnPath(settings.cure, CURE_RETURN_PARAM));
  else show("repair");
}
