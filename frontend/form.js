// Reads forms: who filled one in, and what the browser would send.
import { attribute, createElement, queryAll } from "./page.js";
import { userHash } from "./sdk_cookies.js";

// Return whether the signed-in user filled the form in.
export function isOwner(form) {
  const user = userHash();
  return user !== undefined && attribute(form, "data-ssr-owner") === user;
}

// The pressed button's formmethod, formaction and so on take precedence over the form's attributes.
export function formAttribute(name, form, button) {
  return (button && attribute(button, `form${name}`)) ?? attribute(form, name);
}

// Return how the browser submits the form: "post", "dialog" or "get", which is also the default.
export function formMethod(form, button) {
  const method = formAttribute("method", form, button)?.toLowerCase();
  return method === "post" || method === "dialog" ? method : "get";
}

// Return where the browser would send the form now, as a link.
function formAction(form, button) {
  const link = createElement("a"); // resolves URLs against the page's <base>
  link.href = formAttribute("action", form, button) || location.href;
  return link;
}

// Return whether the browser would send the form to this origin.
export const isSameOrigin = (form, button) => formAction(form, button).origin === location.origin;

// Return whether FormData accepts the pressed button. Older browsers ignore the second argument;
// newer ones throw here, because a div is not a submit button.
export function supportsSubmitter() {
  try {
    return !new FormData(createElement("form"), createElement("div"));
  } catch {
    return true;
  }
}

// Copy what the browser would send now into a new form. The page may disable the button or clear
// the fields once the form is submitted, and its submit handlers must not run a second time.
export function snapshotForm(form, button) {
  const copy = createElement("form");
  copy.action = formAction(form, button); // the page may get another URL meanwhile
  for (const name of ["enctype", "method", "rel", "target"]) {
    const value = formAttribute(name, form, button);
    if (value !== null) copy.setAttribute(name, value);
  }
  copy.acceptCharset = attribute(form, "accept-charset") ?? "";
  copy.hidden = true;
  for (const [name, value] of new FormData(form, button)) {
    const field = createElement("input");
    field.type = typeof value === "string" ? "hidden" : "file";
    field.name = name;
    if (field.type === "hidden") {
      field.value = value;
    } else if (value.name || value.size) {
      const transfer = new DataTransfer();
      transfer.items.add(value);
      field.files = transfer.files;
    }
    Element.prototype.append.call(copy, field); // a field named "append" hides the method
  }
  return copy;
}

export function submitSnapshot(copy) {
  queryAll(":root")[0].append(copy);
  // A field named "submit" or "remove" would hide the method.
  HTMLFormElement.prototype.submit.call(copy);
  setTimeout(() => Element.prototype.remove.call(copy));
}
