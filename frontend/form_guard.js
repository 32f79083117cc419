// Refreshes before a form is sent.
import {
  formAttribute,
  formMethod,
  isSameOrigin,
  snapshotForm,
  submitSnapshot,
  supportsSubmitter,
} from "./form.js";
import { attribute } from "./page.js";
import { holdNavigation, listenLast, replacesThisPage } from "./pending_navigation.js";
import { isHeldForOtherUser } from "./user_guard.js";

// Refresh an expired session before a form is sent, so that the visitor's entries are not lost. The
// form is sent even if the refresh fails.
export function guardForms() {
  listenLast("submit", (event) => {
    const { target: form, submitter: button } = event;
    const method = formMethod(form, button);
    // An event that a script has made submits nothing.
    if (event.defaultPrevented || !event.isTrusted || method === "dialog") return;
    const isPost = method === "post";
    const opensElsewhere = !replacesThisPage(formAttribute("target", form, button));
    if (opensElsewhere && !isPost) return;
    holdNavigation(event, {
      element: form,
      isPost,
      mayWait: isSameOrigin(form, button) && canCopy(button),
      place: opensElsewhere ? form : window,
      prepare: () => {
        const copy = snapshotForm(form, button);
        return () => {
          if (!isPost || !isHeldForOtherUser()) submitSnapshot(copy);
        };
      },
    });
  });
}

function canCopy(button) {
  // Only the browser can send the coordinates of a click on an image button.
  if (button && attribute(button, "type")?.toLowerCase() === "image") return false;
  return !button?.name || supportsSubmitter();
}
