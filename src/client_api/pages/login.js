document.getElementById("login").addEventListener("submit", async (submitted) => {
    submitted.preventDefault();
    const form = new FormData(submitted.target);
    const request = {
        type: "m.login.password",
        identifier: { type: "m.id.user", user: form.get("user") },
        password: form.get("password"),
    };
    const given = new URLSearchParams(window.location.search);
    for (const name of ["device_id", "initial_device_display_name"]) {
        if (given.has(name)) request[name] = given.get(name);
    }
    const said = document.getElementById("said");
    try {
        const response = await fetch("/_matrix/client/v3/login", { method: "POST", body: JSON.stringify(request) });
        const body = await response.json();
        if (!response.ok) {
            said.textContent = body.error || "That did not work.";
            return;
        }
        said.textContent = "You are signed in. You can close this page.";
        if (window.matrixLogin && window.matrixLogin.onLogin) window.matrixLogin.onLogin(body);
    } catch (error) {
        said.textContent = "The server cannot be reached.";
    }
});
