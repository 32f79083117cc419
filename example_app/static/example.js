// session_script() starts the SuperTokens SDK before this script. When a fetch() here meets an
// expired access token, the SDK refreshes it and retries.

const TIME_LIMIT_SECONDS = 10;

function post(url, body) {
  return fetch(url, {
    method: "POST",
    signal: AbortSignal.timeout(TIME_LIMIT_SECONDS * 1000),
    headers: { "content-type": "application/json", rid: "emailpassword", "st-auth-mode": "cookie" },
    body: JSON.stringify(body),
  });
}

for (const form of document.querySelectorAll("form[data-auth]")) {
  const error = form.querySelector("[data-error]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    error.textContent = "";
    const formFields = [...new FormData(form)].map(([id, value]) => ({ id, value }));
    try {
      const response = await post(form.dataset.auth, { formFields });
      if (!response.ok) {
        error.textContent = `The sign-in service failed (status ${response.status}): its core may be down. Please try again.`;
        return;
      }
      const answer = await response.json();
      if (answer.status === "OK") location.assign(form.dataset.returnPath);
      else if (answer.status === "FIELD_ERROR") error.textContent = answer.formFields[0].error;
      else error.textContent = "E-mail address and password do not match.";
    } catch (problem) {
      error.textContent =
        problem.name === "TimeoutError"
          ? `The sign-in service did not answer within ${TIME_LIMIT_SECONDS} seconds. Please try again.`
          : "The sign-in service cannot be reached. Please try again.";
    }
  });
}

for (const element of document.querySelectorAll("[data-expires]")) {
  const text = element.textContent;
  const show = () => {
    const seconds = Math.ceil(Number(element.dataset.expires) - Date.now() / 1000);
    element.textContent = seconds > 0 ? `${text}, in ${seconds} s` : "has expired: reload the page";
  };
  show();
  setInterval(show, 1000);
}

for (const element of document.querySelectorAll("[data-live]")) {
  const load = async () => {
    const response = await fetch(element.dataset.live);
    element.textContent = response.ok ? await response.text() : "Your session has ended: sign in again.";
  };
  load();
  setInterval(load, 3000);
}

for (const button of document.querySelectorAll("[data-send-email]")) {
  const { returnPath } = button.dataset;
  const sent = document.querySelector("[data-sent]");
  button.addEventListener("click", async () => {
    const query = `?redirectToPath=${encodeURIComponent(returnPath)}`;
    const response = await post(`/auth/user/email/verify/token${query}`, {}).catch(() => ({}));
    if (response.status === 401) button.textContent = "Sign in first";
    else if (!response.ok) button.textContent = "That failed: try again";
    else if ((await response.json()).status !== "OK") location.assign(returnPath); // verified already
    else if (sent) sent.hidden = false;
    else location.reload(); // the panel, which shows the link
  });
}

for (const element of document.querySelectorAll("[data-verify]")) {
  const token = new URLSearchParams(location.search).get("token");
  post("/auth/user/email/verify", { method: "token", token })
    .then((response) => response.json())
    .then((answer) => {
      const isVerified = answer.status === "OK";
      element.textContent = isVerified ? "Verified." : "This link is no longer valid.";
      if (isVerified) location.assign(element.dataset.returnPath);
    })
    .catch(() => {
      element.textContent = "The sign-in service has a problem. Please reload this page.";
    });
}

for (const section of document.querySelectorAll("[data-totp]")) {
  const part = (name) => section.querySelector(`[data-${name}]`);
  const [setUp, secret, code, error] = ["set-up", "secret", "code", "error"].map(part);
  let deviceName; // of the app that is being set up
  const call = async (path, body) => {
    error.textContent = "";
    try {
      const response = body ? await post(`/auth/totp/${path}`, body) : await fetch(`/auth/totp/${path}`);
      if (response.ok) return await response.json();
      error.textContent = `The sign-in service failed (status ${response.status}). Please try again.`;
    } catch {
      error.textContent = "The sign-in service cannot be reached. Please try again.";
    }
    return {};
  };
  const askForCode = () => {
    setUp.hidden = true;
    code.hidden = false;
    section.querySelector("input").focus();
  };
  call("device/list").then(({ devices }) => {
    if (devices && devices.some((device) => device.verified)) askForCode();
    else if (devices) setUp.hidden = false;
  });
  setUp.querySelector("button").addEventListener("click", async () => {
    const device = await call("device", {});
    if (device.status !== "OK") return;
    deviceName = device.deviceName;
    secret.querySelector("code").textContent = device.secret;
    secret.hidden = false;
    askForCode();
  });
  section.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const totp = section.querySelector("input").value.trim();
    const { status } = await (deviceName
      ? call("device/verify", { deviceName, totp })
      : call("verify", { totp }));
    if (status === "OK") location.assign(section.dataset.returnPath);
    else if (status === "LIMIT_REACHED_ERROR") error.textContent = "Too many wrong codes. Please wait, then try again.";
    else if (status) error.textContent = "This code is wrong, or no longer valid. Please enter the next one.";
  });
}
