// The forms of sign-in, and the page "Live". session_script() starts the SuperTokens SDK before this
// script. When a fetch() here meets an expired access token, the SDK refreshes it and retries.

const TIME_LIMIT_SECONDS = 10;

// --- the API -------------------------------------------------------------------------------------

function post(url, body) {
  return fetch(url, {
    method: "POST",
    signal: AbortSignal.timeout(TIME_LIMIT_SECONDS * 1000),
    headers: { "content-type": "application/json", rid: "emailpassword", "st-auth-mode": "cookie" },
    body: JSON.stringify(body),
  });
}

// Return the answer of `call`, or {} after saying in `section` what failed.
async function ask(section, call) {
  for (const error of section.querySelectorAll(".error")) error.textContent = "";
  for (const field of section.querySelectorAll("input")) field.removeAttribute("aria-invalid");
  const problem = section.querySelector("[data-problem]");
  setBusy(section, true);
  try {
    const response = await call();
    if (response.ok) return await response.json();
    problem.textContent =
      response.status === 401
        ? "Please sign in first."
        : `The sign-in service failed (status ${response.status}): its core may be down. Please try again.`;
  } catch (error) {
    problem.textContent =
      error.name === "TimeoutError"
        ? `The sign-in service did not answer within ${TIME_LIMIT_SECONDS} seconds. Please try again.`
        : "The sign-in service cannot be reached. Please try again.";
  } finally {
    setBusy(section, false);
  }
  return {};
}

function setBusy(section, isBusy) {
  section.setAttribute("aria-busy", isBusy);
  for (const button of section.querySelectorAll("button")) button.disabled = isBusy;
}

// The section stays busy until its page is left.
function leaveFor(section, address) {
  setBusy(section, true);
  addEventListener("pagehide", () => setBusy(section, false), { once: true });
  location.assign(address);
}

// The field names the element of its error in aria-describedby, so it is read out with the field.
function showError(id, message) {
  const field = document.getElementById(id);
  document.getElementById(`${id}-error`).textContent = message;
  field.setAttribute("aria-invalid", "true");
  if (!document.activeElement.matches("[aria-invalid=true]")) field.focus();
}

// --- sign-up and sign-in -------------------------------------------------------------------------

for (const form of document.querySelectorAll("form[data-auth]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const formFields = [...new FormData(form)].map(([id, value]) => ({ id, value }));
    const answer = await ask(form, () => post(form.dataset.auth, { formFields }));
    if (answer.status === "OK") leaveFor(form, form.dataset.returnPath);
    else if (answer.status === "FIELD_ERROR") {
      for (const { id, error } of answer.formFields) showError(id, error);
    } else if (answer.status) showError("password", "E-mail address and password do not match.");
  });
}

// --- the e-mail address --------------------------------------------------------------------------

for (const section of document.querySelectorAll("[data-send-email]")) {
  const { returnPath } = section.dataset;
  const query = `?redirectToPath=${encodeURIComponent(returnPath)}`;
  const sent = section.querySelector("[data-sent]");
  section.querySelector("button").addEventListener("click", async () => {
    const { status } = await ask(section, () => post(`/auth/user/email/verify/token${query}`, {}));
    if (status === "OK" && sent) sent.hidden = false;
    else if (status === "OK") location.reload(); // the panel, which shows the link
    else if (status) leaveFor(section, returnPath); // verified already
  });
}

for (const section of document.querySelectorAll("[data-verify]")) {
  const token = new URLSearchParams(location.search).get("token");
  const body = { method: "token", token };
  ask(section, () => post("/auth/user/email/verify", body)).then(({ status }) => {
    if (!status) return;
    const isVerified = status === "OK";
    const outcome = isVerified ? "Verified." : "This link is no longer valid.";
    section.querySelector("[data-outcome]").textContent = outcome;
    if (isVerified) leaveFor(section, section.dataset.returnPath);
  });
}

// --- the second factor ---------------------------------------------------------------------------

for (const section of document.querySelectorAll("[data-totp]")) {
  const [setUp, secret, form] = ["set-up", "secret", "code"].map((name) =>
    section.querySelector(`[data-${name}]`),
  );
  let deviceName; // of the app that is being set up
  const askForCode = () => {
    setUp.hidden = true;
    form.hidden = false;
    section.querySelector("input").focus();
  };
  ask(section, () => fetch("/auth/totp/device/list")).then(({ devices }) => {
    if (devices?.some((device) => device.verified)) askForCode();
    else if (devices) setUp.hidden = false;
  });
  setUp.querySelector("button").addEventListener("click", async () => {
    const device = await ask(section, () => post("/auth/totp/device", {}));
    if (device.status !== "OK") return;
    deviceName = device.deviceName;
    secret.querySelector("code").textContent = device.secret;
    secret.hidden = false;
    askForCode();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const totp = section.querySelector("input").value.trim();
    const { status } = await ask(section, () =>
      deviceName
        ? post("/auth/totp/device/verify", { deviceName, totp })
        : post("/auth/totp/verify", { totp }),
    );
    if (status === "OK") leaveFor(section, section.dataset.returnPath);
    else if (status === "LIMIT_REACHED_ERROR") {
      showError("code", "Too many wrong codes. Please wait, then try again.");
    } else if (status) {
      showError("code", "This code is wrong, or no longer valid. Please enter the next one.");
    }
  });
}

// --- live content, and the menu ------------------------------------------------------------------

for (const element of document.querySelectorAll("[data-live]")) {
  const load = async () => {
    const response = await fetch(element.dataset.live);
    element.textContent = response.ok ? await response.text() : "Your session has ended: sign in again.";
  };
  load();
  setInterval(load, 3000);
}

for (const menu of document.querySelectorAll("[data-menu]")) {
  const narrow = matchMedia("(max-width: 52rem)");
  const fold = () => {
    menu.open = !narrow.matches;
  };
  fold();
  narrow.addEventListener("change", fold);
}
